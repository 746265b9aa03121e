#pragma once
// Drives a float engine over data and fills the ranges table; all methods in one streaming pass, memory independent of the data's size.

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
  std::function<void(int64_t done, int64_t total)> progress;
};
/// engine: FP32, any batch; a last partial batch is used. Errors: no samples, a tensor never reached, a non-finite value (names tensor and sample).
/// Fills samples, percentile and tensors; the caller adds hashes and spec.
Result<CalibrationTable> calibrate(const std::shared_ptr<const Engine>& engine, const Dataset& data, const CalibrateOptions& options);

}  // namespace octet
