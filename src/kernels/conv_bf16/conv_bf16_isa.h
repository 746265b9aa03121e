#pragma once
// The inner functions of the bfloat16 convolution: rows of input x one panel of output channels. C headers only: ISA
// files include this.
//
// A row holds the positions of one output pixel's reduction side by side, gathered from its taps (and rounded, where
// the input is FP32), zero behind them up to a whole step; or it is a pixel of the input itself. Where the input is
// bfloat16 and a step is a pair, rows need not be made: a table of pointers leads to the segments of each pixel.

#include <stdint.h>

namespace octet {

/// sums[r][c] = bias[c] + sum over k of x[r * x_step + k] * weights[k][c], r < rows, c < 16 * vectors; with a table
/// x[k] is table[s * table_rows + r][first_position + k], one segment behind the other. Packed weights:
/// [step][vector][pair][lane 0..15][2 positions]; a step is one pair, on AMX 16.
struct ConvBf16Block {
  const uint16_t* x = nullptr;
  int64_t x_step = 0;                      // elements from row to row
  int64_t rows = 0;                        // 1 .. block_rows; of a table 1 .. kernel.rows
  int64_t steps = 0;                       // of a segment
  const uint16_t* const* table = nullptr;  // null = x; only where a step is a pair
  int64_t table_rows = 0, segments = 1, first_position = 0;
  const uint16_t* weights = nullptr;
  const float* bias = nullptr;  // 64-byte aligned
  int vectors = 1;
  float* sums = nullptr;  // [row][16 * kernel.vectors], 64-byte aligned
};

/// Taps of one pixel -> a row of bfloat16: `elements` of each segment, one segment behind the other, then zeros. At
/// most 64 elements behind the last one are written, nothing but these elements is read.
struct ConvBf16Gather {
  const void* const* rows = nullptr;  // first segment's pointer of the pixel, others at row_step
  int64_t row_step = 0, segments = 0;
  int64_t first_position = 0, elements = 0;
  bool from_f32 = false;
  uint16_t* to = nullptr;
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
  void (*configure)();  // once per chunk; null = nothing to do
  void (*sums)(const ConvBf16Block& block);
  void (*gather)(const ConvBf16Gather& row);
  void (*finish)(const ConvBf16Finish& rows);
  int rows;           // most pixels of one tile
  int block_rows;     // most rows of one call
  int vectors;        // of 16 channels in a full panel
  int step;           // positions of a step
  int read_rows;      // rows of the input are read in whole multiples of this
  double dot_cycles;  // of one vector of products of pairs, for the static cost
  const char* name;
};

extern const ConvBf16Kernel conv_bf16_avx512_bf16_6x64;
extern const ConvBf16Kernel conv_bf16_avx512_bf16_8x48;
extern const ConvBf16Kernel conv_bf16_avx512_bf16_12x32;
extern const ConvBf16Kernel conv_bf16_amx_bf16;

void conv_bf16_gather(const ConvBf16Gather& row);
void conv_bf16_finish(const ConvBf16Finish& rows);
void conv_bf16_amx_configure();
void conv_bf16_amx_sums(const ConvBf16Block& block);

}  // namespace octet
