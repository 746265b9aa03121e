#pragma once
// What the inner functions of listed tiles (listed_tiles.h) are called with. C headers only: ISA files include this.

#include <stdint.h>

#include "kernels/implicit_gemm/tap_segment_isa.h"

namespace octet {

/// Input: what rows and packed weights are made of. Value: float, or void where residual and y may be bfloat16.
template <class Input, class Value>
struct ListedRun {
  const Input* const* rows = nullptr;  // [pixel][table_segments]
  int64_t table_segments = 0;
  // [tiles][row_count], of rows, start, residual and y; row_count + 3 more are readable
  const int32_t* pixels = nullptr;
  const TapSegment* segment_list = nullptr;
  int64_t segments = 0;
  int64_t first_position = 0, positions = 0;  // within each segment
  const Input* weights = nullptr;             // of the panel
  const float* start = nullptr;               // bias (start_step 0), or sums so far
  int64_t start_step = 0;
  const Value* residual = nullptr;  // null = none
  int64_t residual_step = 0;
  Value* y = nullptr;
  int64_t y_step = 0;
  float lo = 0.0f, hi = 0.0f;      // -inf, inf = no clamp
  const char* prefetch = nullptr;  // weights wanted next: one cache line per position, up to prefetch_end
  const char* prefetch_end = nullptr;
  int32_t tiles = 0;      // one after the other along `pixels`
  int32_t row_count = 0;  // pixels of a tile, 1..kernel.rows
  int32_t channels = 0;   // of the panel; exactly these are read and stored
};

}  // namespace octet
