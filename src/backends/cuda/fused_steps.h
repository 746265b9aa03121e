#pragma once
// Rows of neighbouring steps that one kernel runs, found from ops, shapes and readers.

#include "backends/cuda/step.h"

namespace octet::cuda {

/// A row of neighbouring steps that one kernel runs; steps = 0: none begins here.
struct FusedSteps {
  size_t steps = 0;
  PreparedStep prepared;
};
/// QuantizeLinear, QuantConv, MaxPool or two neighbours of them from plan.steps[first] on, where shapes and readers
/// allow. Errors: no memory.
Result<FusedSteps> fuse_stem(const Plan& plan, size_t first, DType floats, StepBuilder& builder);

}  // namespace octet::cuda
