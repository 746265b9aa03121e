#pragma once
// Chooses among a step's ways by timing them where they will run.

#include <map>
#include <string>

#include "backends/cuda/step.h"

namespace octet::cuda {

/// Milliseconds of `repeats` launches in a row, as one graph: a stream alone would measure the host. Best of three.
Result<float> time_in_a_row(const Enqueue& enqueue, const Launch& launch, int repeats);

class Tuner {
 public:
  /// Index of the fastest choice. Steps of the same key are measured once. Errors: a kernel that does not run.
  Result<size_t> fastest(const PreparedStep& step, const Launch& launch);

 private:
  std::map<std::string, size_t> known_;
};

}  // namespace octet::cuda
