#pragma once
// --saveDebugTensors, --saveAllDebugTensors: the values inside the network, of one run after the measured ones.

#include "cli/trtexec/log.h"
#include "cli/trtexec/options.h"
#include "octet/measure.h"

namespace octet::cli::trtexec {

/// "a/b:0" -> "a_b_0".
std::string file_name(std::string name);

/// Errors as of save_debug_tensors(), from a run before the measured ones; nothing is written.
Result<Done> check_debug_tensors(const Options& options, const Stream& stream);
/// Nothing when neither flag is there. Errors: a name that no layer makes, a GPU, files that cannot be written.
Result<Done> save_debug_tensors(const Options& options, const Stream& stream, const Log& log);

}  // namespace octet::cli::trtexec
