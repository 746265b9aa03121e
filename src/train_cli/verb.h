#pragma once
// A verb of octet-train: the same idea as a command of octet, in a program of its own because it needs libtorch.

#include <CLI/CLI.hpp>
#include <atomic>
#include <functional>

#include "octet/result.h"

namespace octet::train_cli {

using Action = std::function<int()>;

struct Verb {
  const char* name;
  const char* summary;
  const char* example;
  Action (*add)(CLI::App& sub);
};

constexpr int k_bad_usage = 2;  // exit status of octet's commands, too

/// Of an option that names a file to write: a name must be there.
CLI::Validator file_name();
/// Prints "error[kind] message" to stderr; 1.
int fail(const Error& error);
/// The same for what the command line says: 2 where it cannot be meant so, 1 where this machine cannot do it.
int refuse(const Error& error);
/// From here on Ctrl-C and SIGTERM set the flag that is returned, and a second one ends the program. Before, one does:
/// there is nothing to keep yet.
const std::atomic<bool>& stop_on_signals();

}  // namespace octet::train_cli
