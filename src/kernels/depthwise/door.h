#pragma once
// Shared by the two doors (depthwise_u8s8.cpp, depthwise_f32.cpp): which kernels, and how a run is cut into chunks.

#include <cstdint>

#include "base/isa.h"
#include "kernels/depthwise/depthwise_isa.h"

namespace octet {

/// The best set of the family that isa runs.
const DepthwiseKernels& depthwise_kernels(Isa isa);

/// groups = ic = oc.
bool is_depthwise(const WindowGeometry& g);

/// A run is cut into row_chunks x channel_chunks parts; rows are "row units" over the whole batch.
struct DepthwiseSplit {
  int64_t row_chunks, channel_chunks;
  static DepthwiseSplit make(int64_t rows, int64_t groups, int threads);
  int64_t chunks() const { return row_chunks * channel_chunks; }
};

/// Part i of n of [0, total): begins at total * i / n.
inline int64_t part_begin(int64_t total, int64_t i, int64_t n) { return total * i / n; }

}  // namespace octet
