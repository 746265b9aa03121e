#pragma once
// Chooses among a step's ways by timing them where they will run.

#include <map>
#include <string>
#include <vector>

#include "backends/cuda/step.h"

namespace octet::cuda {

/// Milliseconds of `repeats` launches in a row, as one graph: a stream alone would measure the host. Best of three.
Result<float> time_in_a_row(const Enqueue& enqueue, const Launch& launch, int repeats);

class Tuner {
 public:
  /// Indices of the fastest choices of the step, in a row of its own, fastest first and none far behind it. Steps of
  /// the same key are measured once. Errors: a kernel that does not run.
  Result<std::vector<size_t>> fastest(const PreparedStep& step, const Launch& launch);

 private:
  std::map<std::string, std::vector<size_t>> known_;
};

/// Of a small network most time goes by between kernels: what is fastest alone need not be so behind another one. Tries
/// the choices that `ranked` lists for each kind of step (its key) in the whole run and keeps what makes that faster.
/// chosen: by step, changed in place. run_all(chosen, launch) enqueues the whole run.
Result<Done> tune_together(const std::vector<PreparedStep>& steps, const std::vector<std::vector<size_t>>& ranked,
                           std::vector<size_t>& chosen, const Enqueue& run_all, const Launch& launch);

}  // namespace octet::cuda
