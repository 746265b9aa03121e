#pragma once
// A command is one file and one line in commands.def.

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "octet/result.h"

namespace octet::cli {

constexpr int k_bad_usage = 2;
/// How a command ended: 0 done, 1 bad input or failed check, or k_bad_usage.
using Action = std::function<int()>;

/// Adds the command's flags to sub and returns what to do once they are parsed.
struct Command {
  const char* name;
  const char* summary;
  const char* example;
  Action (*add)(CLI::App& sub);
};

/// Prints "error[kind] message [OCT-1234]" to stderr, a line for each problem, and returns the exit status for it: 1.
int fail(const Error& error);

}  // namespace octet::cli
