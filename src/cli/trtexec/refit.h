#pragma once
// A plan with other weights: octet builds it again, in the plan's own precision and shapes, and holds both against each
// other, so that only weights and scales can have changed.

#include "cli/trtexec/log.h"
#include "cli/trtexec/options.h"
#include "octet/engine_file.h"

namespace octet::cli::trtexec {

/// The plan with the weights of an ONNX file. Errors: an INT8 plan and a file without Q/DQ nodes, whose scales nobody
/// knows; a network of another structure, with the first layer that differs.
Result<EngineFile> refitted(const EngineFile& plan, const std::string& onnx, const SessionSpec& spec);

/// --timeRefit: the mean of several. spec: device and threads.
Result<Done> time_refit(const Options& options, const EngineFile& plan, const SessionSpec& spec, const Log& log);

}  // namespace octet::cli::trtexec
