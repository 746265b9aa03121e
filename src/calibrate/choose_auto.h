#pragma once
// `auto`: for each tensor the method whose range makes the smallest error of the network's outputs, measured on samples
// that no range was found on.
//
//   e(s) = sum over outputs of (quantized - float)^2, for held-out sample s
//
// 1. Every method for all tensors at once; the one with the smallest mean e is where the search starts.
// 2. Tensor by tensor in graph order, each other method for this tensor alone. A change is kept when it lowers the mean
//    of e by more than one standard error of the paired difference; a trial that is clearly worse stops early.
// 3. The result is compared with the start on the other half of the held-out samples, which step 2 has not seen. If it
//    is not better there, the start is the answer.
//
// The trials run the real integer engine on the real graph, so shared scales, clipping and requantization count.

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "calibrate/calibrate.h"

namespace octet {

struct AutoOptions {
  std::vector<int64_t> held_out;  // samples, ascending
  int threads = 1;
  std::function<void(int64_t done, int64_t total)> progress = {};  // trials
  /// An engine of the network quantized with the table's `automatic` ranges.
  std::function<Result<std::shared_ptr<const Engine>>(const CalibrationTable&)> build;
};

struct AutoReport {
  std::string start;                                    // the method that was best for all tensors
  std::vector<std::pair<std::string, double>> uniform;  // SQNR in dB of each method for all tensors, first half
  int64_t trials = 0, changed = 0, tensors = 0, samples = 0;
  double start_db = 0, final_db = 0;  // on the other half
  bool kept = false;                  // the changes, or the start alone
  /// "auto: 512 trials on 64 held-out samples; entropy for all gives 31.2 dB, 14 of 60 tensors changed: 33.0 dB".
  std::string text() const;
};

/// Sets `automatic` of every row. candidates: by row, the same methods in the same order.
/// Errors: fewer than 4 held-out samples; what the engine or a sample says.
Result<AutoReport> choose_auto(const std::shared_ptr<const Engine>& float_engine, const InputData& data,
                               CalibrationTable& table, const std::vector<std::vector<Candidate>>& candidates,
                               const AutoOptions& options);

}  // namespace octet
