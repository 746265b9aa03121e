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

/// Prints "error[kind] message" to stderr; 1.
int fail(const Error& error);
/// Set by the first Ctrl-C; the second one ends the program.
const std::atomic<bool>& stop_flag();

}  // namespace octet::train_cli
