#pragma once
// Drives a float engine over data and fills the ranges table: all methods in one streaming pass, in memory that does
// not depend on the size of the data.

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "data/dataset.h"
#include "quant/ranges.h"
#include "runtime/engine.h"

namespace octet {

struct CalibrateOptions {
  std::vector<std::string> points;  // value names to observe (passes/calibration_points)
  double percentile = 99.99;
  int threads = 1;  // for reading samples and choosing ranges; the engine runs on its back end's own
  std::function<void(int64_t done, int64_t total)> progress = {};
};
/// engine: FP32, one f32 input whose dimension 0 is the batch; a last partial batch is used, and counted for its real
/// samples only, so the table does not depend on the batch. Fills samples, percentile and tensors (in the order of
/// points, duplicates once); the caller adds hashes, spec and method. An all-zero tensor is fine: its ranges are 0.
/// Errors: no samples, an unreadable sample, a tensor never reached, a non-finite value (names tensor and sample).
Result<CalibrationTable> calibrate(const std::shared_ptr<const Engine>& engine, const Dataset& data,
                                   const CalibrateOptions& options);

}  // namespace octet
