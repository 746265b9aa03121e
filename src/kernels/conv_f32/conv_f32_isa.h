#pragma once
// The inner function of the FP32 convolution: one tile of output pixels x one panel of output channels, over one block
// of the reduction. C headers only: ISA files include this.
//
//   acc[r][c] = start[r][c], then one fma per position in increasing order:  acc = fma(rows[s][r][k], weights[s][k][c],
//   acc) y[r][c] = min(max(acc (+ residual[r][c]), lo), hi)          NaN stays NaN
//
// The reduction of a large layer is cut into blocks whose weights stay in L2; y holds the sums between them, and that
// changes no bit. Every ISA does the same operations in the same order, so all give the same bits.

#include <stdint.h>

namespace octet {

/// Packed weights: [segment][position][vector][lane], zero where a channel does not exist.
struct ConvF32Run {
  const float* const* rows = nullptr;  // [tiles][table_segments][kernel.rows]
  int64_t table_segments = 0;          // of the whole reduction; `rows` begins at this block's first segment
  int64_t segments = 0;
  int64_t first_position = 0, positions = 0;  // within each segment
  const float* weights = nullptr;
  const float* start = nullptr;  // bias (start_step 0), or y of the block before
  int64_t start_step = 0;
  const float* residual = nullptr;  // null = none
  int64_t residual_step = 0;
  float* y = nullptr;
  int64_t y_step = 0;
  float lo = 0.0f, hi = 0.0f;      // -inf, inf = no clamp
  const char* prefetch = nullptr;  // weights wanted next: one cache line per position, up to prefetch_end
  const char* prefetch_end = nullptr;
  int32_t tiles = 0;      // one after the other along the pixels
  int32_t row_count = 0;  // pixels of a tile, 1..kernel.rows
  int32_t channels = 0;   // of the panel; exactly these are read and stored
};

struct ConvF32Kernel {
  void (*run)(const ConvF32Run& run);
  int rows;           // most pixels of one tile; also the stride of the pointer table
  int lanes;          // channels of one vector
  int vectors;        // vectors of a full panel
  double dot_cycles;  // of one vector of fma, for the static cost
  const char* name;
};

extern const ConvF32Kernel conv_f32_avx2;
extern const ConvF32Kernel conv_f32_avx512_vnni_6x64;
extern const ConvF32Kernel conv_f32_avx512_vnni_8x48;
extern const ConvF32Kernel conv_f32_avx512_vnni_12x32;

}  // namespace octet
