#pragma once
// Calibration as the pytorch-quantization toolkit does it (--ref-compat): its growing torch histogram on every tensor,
// batch by batch, its searches at the end, defects included. Unlike calibrate() the result depends on batch and order.

#include "calibrate/calibrate.h"

namespace octet {

/// Of the options points, percentile, threads, progress and samples count. The toolkit quantizes activations
/// symmetrically: lo..hi is -amax..amax, or 0..amax of its unsigned searches where a tensor was never negative. Errors:
/// calibrate()'s, what the toolkit throws (named by tensor), more than one process.
Result<CalibrationTable> calibrate_as_toolkit(const std::shared_ptr<const Engine>& engine, const InputData& data,
                                              const CalibrateOptions& options);

}  // namespace octet
