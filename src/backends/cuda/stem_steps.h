#pragma once
// What finding first layers for one kernel has in common, of codes and of halves.

#include "backends/cuda/stem.h"
#include "backends/cuda/step.h"

namespace octet::cuda {

/// A tile of h by w outputs and everything that follows from it.
StemParams cut_stem(StemParams p, int h, int w, int kernel_w);
/// False: a pool over a window that does not fit.
Result<bool> take_stem_pool(const StepQuery& query, StepBuilder& builder, StemParams& p);

}  // namespace octet::cuda
