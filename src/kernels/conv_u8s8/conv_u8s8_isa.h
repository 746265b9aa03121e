#pragma once
// The inner function of the integer convolution: a run of equal tiles of output pixels x one panel of output channels.
// C headers only: ISA files include this.
//
//   acc[r][c] = bias[c] + sum over segments s, positions k of x[x_offsets[r] + s.x + k] * weights[s.dword + k / 4][c][k
//   % 4] u8 out:  y[r][c] = clamp(rne(f) + y_zero_point, lo, hi)          f32 out:  y[r][c] = f f = cvt(acc) * m[c],
//   with residual  f = fma(cvt(acc), m[c], cvt(residual[r][c] - zr) * mr)
//
// A segment is a run of input bytes that lies contiguously for each pixel: the channels of one tap, or the taps of one
// kernel row where nothing lies between pixels.

#include <stdint.h>

#include "kernels/implicit_gemm/window_segment_isa.h"

namespace octet {

/// How a value becomes a code. Saturating packs are all it takes where their bounds are the codes' and no value reaches
/// 2^31.
enum class CodeClamp {
  any,
  u8,             // codes of [0, 255] with zero point 0
  u7,             // codes of [0, 127] with zero point 0: what Relu leaves of s8 codes
  s8,             // codes of [0, 255] with zero point 128: s8 codes
  at_zero_point,  // codes of [lo, 255] with any zero point
};

/// Packed weights: [dword][vector][lane][4 positions] s8 (or the same as s16, see ConvU8S8Kernel), zero where a
/// position or channel does not exist. bias and multiplier are in lane order too and padded with zeros.
struct ConvU8S8Run {
  const uint8_t* x = nullptr;                // first position of the group in the block's origin
  const int64_t* x_offsets = nullptr;        // [tiles][row_count]; each segment is read at each
  const int32_t* y_pixels = nullptr;         // [tiles][row_count] pixels from y; row_count more are readable
  const int32_t* residual_pixels = nullptr;  // the same from residual
  const WindowSegment* segment_list = nullptr;
  int64_t segments = 0;
  int64_t dwords = 0;  // groups of 4 positions of all segments
  // > 0: tiles are rows of so many pixels, segments kernel rows of three taps, and the first tap of a row's first pixel
  // and the last tap of its last are left out: they lie in the padding, which is not there.
  int32_t row_width = 0;
  // > 0: tiles are neighbours in rows of row_width pixels, so many bytes apart; segments are kernel rows, of whose
  // three taps the second and third begin one and two pixels on, and as many weights on as a tap has. Sides are left
  // out, too.
  int64_t neighbour_step = 0;
  int32_t first_column = 0;    // of pixel 0 of y in its row
  int64_t side_bias_step = 0;  // elements from bias to that of first pixels, and as many on to that of last ones
  const void* weights = nullptr;
  const int32_t* bias = nullptr;
  const float* multiplier = nullptr;
  const uint8_t* residual = nullptr;  // pixel 0, first channel of the panel; null = none
  int64_t residual_step = 0;          // elements from pixel to pixel
  void* y = nullptr;                  // pixel 0, first channel of the panel
  int64_t y_step = 0;                 // elements from pixel to pixel
  const char* prefetch = nullptr;     // weights wanted next, up to prefetch_end
  const char* prefetch_end = nullptr;
  int64_t prefetch_step = 64;  // bytes per dword, 64 or 128
  int32_t tiles = 0;           // one after the other along the offsets
  int32_t row_count = 0;       // pixels of a tile, 1..kernel.rows
  int32_t channels = 0;        // of the panel; exactly these are stored
  int32_t residual_zero_point = 0;
  float residual_multiplier = 0.0f;
  int32_t y_zero_point = 0, lo = 0, hi = 255;
  // The same as vectors take them from memory; out of general registers they want the units that multiply.
  float residual_centre = 0x1p23f;  // 2^23 + residual_zero_point
  float residual_origin = 0.0f;     // -2^23 * residual_multiplier
  int32_t y_zero_points = 0;        // y_zero_point, in both words
  int32_t los = 0;                  // lo, in all bytes
  bool f32_output = false;
  CodeClamp clamp = CodeClamp::any;
};

struct ConvU8S8Kernel {
  void (*run)(const ConvU8S8Run& run);
  int rows;              // most pixels of one tile
  int lanes;             // channels of one vector
  int vectors;           // vectors of a full panel
  bool widened_weights;  // s16 weights in the order (0, 2), (1, 3) of each dword's positions
  double dot_cycles;     // of one vector of dot products, for the static cost
  const char* name;
  bool tile_order = false;           // weights in the order of ConvAmxBlock
  bool whole_steps = false;          // tile order: segments end at a step of 64 positions, not only the row does
  bool whole_rows = false;           // takes ConvU8S8Run::row_width 4 and 8, for codes and panels of several vectors
  bool neighbours = false;           // takes ConvU8S8Run::neighbour_step and nothing else: whole tiles, for codes
  double half_width_dot_cycles = 0;  // where a 512-bit instruction runs as two halves; 0 = dot_cycles
};

extern const ConvU8S8Kernel conv_u8s8_avx2;
extern const ConvU8S8Kernel conv_u8s8_avx2_pairs;  // for layers that fit it, in place of conv_u8s8_avx2
extern const ConvU8S8Kernel conv_u8s8_avx_vnni;
extern const ConvU8S8Kernel conv_u8s8_avx512_vnni_6x64;
extern const ConvU8S8Kernel conv_u8s8_avx512_vnni_8x48;
extern const ConvU8S8Kernel conv_u8s8_avx512_vnni_12x32;
extern const ConvU8S8Kernel conv_u8s8_avx512_vnni_16_neighbours;
extern const ConvU8S8Kernel conv_u8s8_avx512_vnni_14_neighbours;
extern const ConvU8S8Kernel conv_u8s8_avx512_vnni_8_neighbours;
extern const ConvU8S8Kernel conv_u8s8_avx512_vnni_7_neighbours;

}  // namespace octet
