#pragma once
// The measured run of an engine, its checks and its reports.

#include "cli/trtexec/engine.h"

namespace octet::cli::trtexec {

/// --dumpLayerInfo, --exportLayerInfo, --dumpOptimizationProfile.
Result<Done> report_layers(const Options& options, const Engine& engine, const Log& log);

/// --timeDeserialize: errors when the first load took more than twice the average.
Result<Done> time_loads(const Options& options, const Engine& engine, const Log& log);

/// Inference with all its reports. Errors: unreadable inputs, outputs that are further from their references than
/// --accuracyThreshold.
Result<Done> run_inference(const Options& options, const Engine& engine, const Log& log);

}  // namespace octet::cli::trtexec
