#pragma once
// The blocks with which trtexec repeats its options at the head of a log.

#include <string>

#include "cli/trtexec/options.h"

namespace octet::cli::trtexec {

/// "=== Model Options ===" to "=== Reporting Options ===", one line each.
std::string echo_text(const Options& options);
/// "FP32+INT8".
std::string precision_text(const BuildFlags& build);

}  // namespace octet::cli::trtexec
