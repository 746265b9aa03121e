#pragma once
// The inner functions of the bfloat16 convolution. C headers only: ISA files include this.
//
// AVX512-BF16: one tile of output pixels x one panel of output channels, as in conv_f32_isa.h; a position is a pair of
// neighbouring channels, one vdpbf16ps:
//
//   acc[r][c] = start[p][c], p = pixels[r], then for each pair k of the listed segments in increasing order
//   acc += x[2k] * w[2k][c] + x[2k + 1] * w[2k + 1][c], x = rows[p][s.segment] + 2 * first_position
//   y[p][c] = min(max(acc (+ residual[p][c]), lo), hi), rounded where y is bfloat16          NaN stays NaN
//
// AMX: tile_block_isa.h; a step is up to 32 positions. What a row holds behind its positions within a step is zero,
// since 0 x NaN is not.

#include <stdint.h>

#include "kernels/implicit_gemm/listed_run_isa.h"
#include "kernels/implicit_gemm/tile_block_isa.h"

namespace octet {

/// Packed weights: [segment][position][vector][lane 0..15][2], zero where a channel does not exist.
struct ConvBf16Run : ListedRun<uint16_t, void> {
  bool residual_is_bf16 = false;
  bool y_is_bf16 = false;
};

/// Makes the row of one pixel in bfloat16: `elements` elements of each of its segments, one segment behind the other,
/// then zeros. At most 64 elements behind the last one are written, nothing but the segments' elements is read.
/// repeats > 1 needs segments == 1: as many rows are made in order, each from from_step elements behind the one before
/// and to to_step elements behind it, so that a row may overwrite the zeros of the one before.
/// element_step > 1: a row's elements, at most 4, lie in planes of f32 at this distance, from_step is 1 and to_step at
/// most 4.
struct ConvBf16Gather {
  const void* const* rows = nullptr;  // first segment's pointer of the pixel, others at row_step
  int64_t row_step = 0, segments = 0;
  int64_t first_position = 0, elements = 0;
  bool from_f32 = false;
  uint16_t* to = nullptr;
  int64_t repeats = 1, from_step = 0, to_step = 0, element_step = 1;
};

/// y[r][c] = min(max(sums[r][c] (+ residual[r][c]), lo), hi), rounded where y is bfloat16. NaN stays NaN.
struct ConvBf16Finish {
  const float* sums = nullptr;
  int64_t sums_step = 0;
  int64_t rows = 0;
  int32_t channels = 0;            // exactly these are read and stored
  const void* residual = nullptr;  // null = none
  int64_t residual_step = 0;       // elements
  bool residual_is_bf16 = false;
  float lo = 0.0f, hi = 0.0f;  // -inf, inf = no clamp
  void* y = nullptr;
  int64_t y_step = 0;
  bool y_is_bf16 = false;
};

struct ConvBf16Kernel {
  void (*run)(const ConvBf16Run& run);
  void (*gather)(const ConvBf16Gather& row);
  void (*finish)(const ConvBf16Finish& rows);
  int rows;           // most pixels of one tile
  int vectors;        // of 16 channels in a full panel
  double dot_cycles;  // of one vector of products of pairs, for the static cost
  const char* name;
  double half_width_dot_cycles;  // where a 512-bit instruction runs as two halves
};

/// Pixels of one panel behind a block of tiles: y[p][c] = min(max(sums (+ residual[p][c]), lo), hi) as above, of at
/// most 32 channels.
struct ConvBf16TileRun {
  const int32_t* y_pixels = nullptr;
  const int32_t* residual_pixels = nullptr;
  const void* residual = nullptr;  // null = none
  int64_t residual_step = 0;       // elements
  void* y = nullptr;
  int64_t y_step = 0;
  float lo = 0.0f, hi = 0.0f;
  int32_t row_count = 0, channels = 0;
  bool residual_is_bf16 = false, y_is_bf16 = false;
};
using ConvBf16TileKernel = TileKernel<ConvBf16TileRun, float, ConvBf16Gather>;

extern const ConvBf16Kernel conv_bf16_avx512_bf16_6x64;
extern const ConvBf16Kernel conv_bf16_avx512_bf16_8x48;
extern const ConvBf16Kernel conv_bf16_avx512_bf16_12x32;

void conv_bf16_gather(const ConvBf16Gather& row);
void conv_bf16_finish(const ConvBf16Finish& rows);
void conv_bf16_amx_configure(int64_t step_bytes);
void conv_bf16_amx_sums(const TileBlock<ConvBf16TileRun, float>& block);
void conv_bf16_amx_flush(const TileUpper<float>& upper);
void conv_bf16_amx_finish(const ConvBf16TileRun& run, const float* sums, const int32_t* sum_rows, int first, int last);

}  // namespace octet
