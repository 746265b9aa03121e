#pragma once
// What the depthwise door hands to an ISA file, and the packed layout both agree on. C headers only.
//
// Tap interleave. NHWC gives a depthwise convolution no sum over channels, so the dot product instructions are fed taps
// instead: four neighbouring pixels of one channel form a dword (a "quad"), made by two levels of byte and word
// unpacks. The same quad serves every output of a tile whose window touches it, each with its own weight dword:
//   3x3, stride 1: quad (p0 p1 p2 p3);  output 0 takes (w0 w1 w2 0), output 1 takes (0 w0 w1 w2).
// A walk (walk.inc) takes its quads from four rows of a column in place of four pixels of a row.
// Unpacking works within 128-bit lanes of 16 channels: vector j, lane L, element i holds channel 16 L + 4 j + i of its
// block. Packing 32 to 16 to 8 bits undoes exactly this order, so bias and multiplier are stored in it as well.

#include <stddef.h>
#include <stdint.h>

#include "kernels/conventions.h"

namespace octet {

/// A tile of tw x th outputs: the quads of one input row begin at columns 0, quad_step, 2 * quad_step, ... of its
/// window.
struct DepthwiseTile {
  int kh, kw, stride;  // stride in both directions; the tile of all other windows has stride 0 and tw = th = 1
  int tw, th;
  int quads, quad_step;
  bool own_quad;       // output j reads quad j alone, else every quad
  bool walks = false;  // quads are four rows of a column: read "row" for "column" above, and output row for output
  constexpr bool uses(int j, int q) const { return !own_quad || j == q; }
  constexpr int columns() const { return (quads - 1) * quad_step + 4; }
  constexpr int rows() const { return (th - 1) * stride + kh; }
  /// Of a walk: output rows whose weights differ. With quads of their own they have the same.
  constexpr int weight_sets() const { return own_quad ? 1 : th; }
  /// Of a walk: a fifth row of the window, whose quads are four pixels.
  constexpr bool has_fifth_row() const { return kh == 5; }
  /// Of a walk: a part's weights, each of two vectors.
  constexpr int weight_vectors() const { return kw * weight_sets() + (has_fifth_row() ? 2 : 0); }
};

/// Outputs of th rows that one walk makes at most: its weights are read once for them, and what waits for its second
/// part stays in L1. Bytes of scratch that one may wait in: two vectors of floats.
inline constexpr int64_t k_walk_outputs = 64;
inline constexpr int64_t k_walk_waiting_bytes = 128;

/// A layer's geometry, or that of one lattice of its images (door.h), whose pixels and rows lie further apart.
struct DepthwiseGeometry : WindowGeometry {
  int64_t x_width, y_width;  // pixels of x_pitch, or of the outputs' pitches, from one row to the next
};

/// One call: output rows [oy_begin, oy_end) of one image, channel blocks [block_begin, block_end).
struct DepthwiseU8S8Call {
  const DepthwiseGeometry* geometry;
  // Packed: [block][kh][quad][output that uses it][vector][lane]; of walks [block][part][kw][output row, or one for
  // all][vector of the part][lane], and behind a part's kw of the fifth row taps 1 to 4, then tap 0; scalar:
  // [c][kh][kw].
  const int8_t* weights;
  const int32_t* bias;      // packed order; bias - x_zero_point * sum w
  const float* multiplier;  // packed order
  const uint8_t* x;         // the image
  const uint8_t* residual;  // the image, or null
  uint8_t* y;               // the image's codes, or null
  float* v;                 // when y is null: form 3 before its activation; row oy_begin, first channel of block_begin
  int64_t v_pitch;          // floats from pixel to pixel of v; y_width of them from row to row
  const uint8_t* zero;      // zero_bytes + 64 bytes, all x_zero_point
  int64_t zero_bytes;       // those of columns() pixels of the layer's own pitch at least
  unsigned char* scratch;   // depthwise_u8s8_scratch bytes
  int64_t oy_begin, oy_end, block_begin, block_end;
  int32_t x_zero_point, residual_zero_point, y_zero_point, lo, hi;
  bool fits_f32;  // 1x1: bias, products, and weights times 2^15 are floats exactly, however they are added
  float residual_multiplier;
  // 1x1, codes: blocks whose every channel is a CodeLine (code_line.h), or null. [block][line_bytes(block)].
  const uint8_t* lines;
  int64_t ahead;  // bytes from x to what is brought near meanwhile; 0 = nothing
};

/// A block's lines: [64 bytes][flip][low], a byte for each channel, then slope, add and shift, each [half][block / 2]
/// words: half h has channels 8 h .. 8 h + 7 of each 16, as unpacking bytes leaves them. Of the first bytes the first
/// says whether the block is lines, the second whether one is flipped, the third whether lo and hi clamp.
constexpr int64_t line_bytes(int64_t block) { return 64 + 8 * block; }

struct DepthwiseU8S8Kernel {
  DepthwiseTile tile;
  void (*run)(const DepthwiseU8S8Call& call);
};

struct DepthwiseU8S8Kernels {
  int block;                           // channels per block
  int dword_bytes;                     // bytes of one packed quad of weights: 4 (s8), or 8: s16 taps 0 2, then 1 3
  const DepthwiseU8S8Kernel* kernels;  // special tiles first, the one for all other windows last
  int count;
  const char* name;
};

/// X, Y: float, or bfloat16 as uint16_t.
template <class X, class Y>
struct DepthwiseCall {
  const DepthwiseGeometry* geometry;
  const float* weights;  // [kh][kw][c rounded up to 16]
  const float* bias;     // [c rounded up to 16]
  const X* x;            // row i of the image at x + (i % x_rows) * x_width * x_pitch
  int64_t x_rows;        // ih, or rows of a ring that holds what the outputs read
  const Y* residual;     // the image, or null
  Y* y;                  // row oy_begin
  float lo, hi;          // -inf, inf = no clamp
  int64_t oy_begin, oy_end, c_begin, c_end;
};
using DepthwiseF32Call = DepthwiseCall<float, float>;

struct DepthwiseF32Kernels {
  /// y = min(max((bias + taps inside the image, one fma each, in the order kh, kw) + residual, lo), hi); NaN stays NaN.
  void (*run)(const DepthwiseF32Call& call);
  const char* name;
  /// Whether a dilated window is faster as one without dilation on each lattice, the first of which is g.
  bool (*likes_lattices)(const WindowGeometry& g);
};

struct DepthwiseKernels {
  DepthwiseU8S8Kernels u8s8;
  DepthwiseF32Kernels f32;
};

/// The same, y rounded to nearest even. Needs AVX512-BF16.
void depthwise_run_bf16(const DepthwiseCall<uint16_t, uint16_t>& call);
void depthwise_run_bf16(const DepthwiseCall<float, uint16_t>& call);

/// DepthwiseF32Kernels::likes_lattices of who does not.
bool depthwise_likes_no_lattice(const WindowGeometry& g);

/// AVX2's float side, which AVX-VNNI lends.
void depthwise_run_f32_avx2(const DepthwiseF32Call& call);

extern const DepthwiseKernels depthwise_scalar;
extern const DepthwiseKernels depthwise_avx2;
extern const DepthwiseKernels depthwise_avx_vnni;
extern const DepthwiseKernels depthwise_avx512_vnni;

}  // namespace octet
