#pragma once
// The inner function of the FP32 convolution: one tile of output pixels x one panel of output channels, over one block
// of the reduction. C headers only: ISA files include this.
//
//   acc[r][c] = start[p][c], p = pixels[r], then one fma per position of the listed segments in increasing order:
//   acc = fma(rows[p][s.segment][first_position + k], weights[s.depth + k][c], acc)
//   y[p][c] = min(max(acc (+ residual[p][c]), lo), hi)          NaN stays NaN
//
// The reduction of a large layer is cut into blocks whose weights stay in L2; y holds the sums between them, and that
// changes no bit. Every ISA does the same operations in the same order, so all give the same bits.

#include <stdint.h>

#include "kernels/implicit_gemm/tap_segment_isa.h"

namespace octet {

/// Packed weights: [segment][position][vector][lane], zero where a channel does not exist.
struct ConvF32Run {
  const float* const* rows = nullptr;  // [pixel][table_segments]
  int64_t table_segments = 0;
  const int32_t* pixels =
      nullptr;  // [tiles][row_count], of rows, start, residual and y; row_count + 3 more are readable
  const TapSegment* segment_list = nullptr;
  int64_t segments = 0;
  int64_t first_position = 0, positions = 0;  // within each segment
  const float* weights = nullptr;             // of the panel
  const float* start = nullptr;               // bias (start_step 0), or y of the block before
  int64_t start_step = 0;
  const float* residual = nullptr;  // null = none
  int64_t residual_step = 0;
  float* y = nullptr;
  int64_t y_step = 0;
  float lo = 0.0f, hi = 0.0f;      // -inf, inf = no clamp
  const char* prefetch = nullptr;  // weights wanted next: one cache line per position, up to prefetch_end
  const char* prefetch_end = nullptr;
  int32_t tiles = 0;      // one after the other along `pixels`
  int32_t row_count = 0;  // pixels of a tile, 1..kernel.rows
  int32_t channels = 0;   // of the panel; exactly these are read and stored
};

struct ConvF32Kernel {
  void (*run)(const ConvF32Run& run);
  int rows;           // most pixels of one tile
  int lanes;          // channels of one vector
  int vectors;        // vectors of a full panel
  double dot_cycles;  // of one vector of fma, for the static cost
  const char* name;
  double half_width_dot_cycles = 0;  // where a 512-bit instruction runs as two halves; 0 = dot_cycles
};

extern const ConvF32Kernel conv_f32_avx2;
extern const ConvF32Kernel conv_f32_avx512_vnni_6x64;
extern const ConvF32Kernel conv_f32_avx512_vnni_8x48;
extern const ConvF32Kernel conv_f32_avx512_vnni_12x32;

}  // namespace octet
