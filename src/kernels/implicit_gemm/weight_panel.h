#pragma once
// Where a float layer's packed weights of some output channels lie.

#include <cstddef>
#include <cstdint>

#include "kernels/implicit_gemm/live_taps.h"

namespace octet {

/// One panel: as many output channels of one group as an inner function holds sums of.
struct WeightPanel {
  int64_t group = 0;
  int64_t first_channel = 0;  // among all output channels
  int64_t channels = 0;
  size_t weights_offset = 0;  // elements
  size_t bias_offset = 0;     // floats
  LiveTaps taps = k_all_taps;
};

}  // namespace octet
