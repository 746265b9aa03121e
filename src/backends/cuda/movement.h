#pragma once
// Ops that move elements without computing.

#include "backends/cuda/step.h"

namespace octet::cuda {

/// Input 0 of a reshape-like node when its output may lie in the same memory, else k_absent.
ValueId reshape_alias(const Graph& graph, const Node& node, DType floats);

}  // namespace octet::cuda
