#pragma once
// Drives a float engine over data and fills the ranges table: all methods in one streaming pass, in memory that does
// not depend on the size of the data.

#include <functional>
#include <string>
#include <vector>

#include "base/process_group.h"
#include "base/result.h"
#include "calibrate/calibration_report.h"
#include "calibrate/feed.h"
#include "quant/histogram.h"
#include "quant/ranges.h"
#include "runtime/engine.h"

namespace octet {

struct CalibrateOptions {
  std::vector<std::string> points;  // value names to observe (passes/calibration_points)
  double percentile = 99.99;
  int threads = 1;  // for reading samples and choosing ranges; the engine runs on its back end's own
  std::function<void(int64_t done, int64_t total)> progress = {};
  std::vector<int64_t> samples = {};                      // ascending; empty = all of the data
  CalibrationMethod method = CalibrationMethod::entropy;  // whose stability is judged; automatic: candidates are made
  bool per_channel = false;                               // the ends of each channel too
  std::string preprocess = {};                            // the spec the samples went through, to judge the input
  const ProcessGroup* group = nullptr;                    // null = this process alone
  /// Told each tensor's magnitudes behind its row, in order.
  std::function<void(const TensorRange& row, const Bins& magnitudes)> on_histogram = {};
};

/// A range that `auto` may choose for a tensor, and where it comes from: "max", "percentile 99.9".
struct Candidate {
  std::string from;
  ChosenRange range;
};
struct Calibrated {
  CalibrationTable table;
  CalibrationReport report;                        // of process 0; the others' is empty
  std::vector<std::vector<Candidate>> candidates;  // by tensor; with method automatic, in process 0
};

/// engine: FP32; every input carries the batch as dimension 0; a last partial batch is used, and counted for its real
/// samples only, so the table depends neither on the batch nor on how a group of processes shares the samples. Fills
/// samples, percentile, bins and tensors (in the order of points, duplicates once); the caller adds hashes, spec and
/// method. An all-zero tensor is fine: its ranges are 0. Every process of a group gets the same table or the same
/// Error.
/// Errors: no samples, an unreadable sample, a tensor never reached, a non-finite value (names tensor and sample).
Result<Calibrated> calibrate(const std::shared_ptr<const Engine>& engine, const InputData& data,
                             const CalibrateOptions& options);
/// The table alone, for a network with one input.
Result<CalibrationTable> calibrate(const std::shared_ptr<const Engine>& engine, const Dataset& data,
                                   const CalibrateOptions& options);

/// What a calibration holds at most, for a forecast: one batch's activations and buffers, the histograms.
struct MemoryForecast {
  size_t engine_bytes = 0, histogram_bytes = 0;
  size_t total() const { return engine_bytes + histogram_bytes; }
};
MemoryForecast forecast(const Engine& engine, const CalibrateOptions& options);

}  // namespace octet
