#pragma once
// The inner functions of the integer Winograd convolution F(4x4, 3x3): 36 products of s16 in place of 144 of codes for
// a tile of 4 x 4 outputs. C headers only: ISA files include this. winograd_u8s8.cpp has the arithmetic.

#include <stdint.h>

#include "kernels/conv_u8s8/conv_u8s8_isa.h"

namespace octet {

inline constexpr int k_winograd_positions = 36;  // of a transformed tile, 6 x 6
inline constexpr int k_winograd_pixels = 16;     // outputs of a tile, 4 x 4

/// Outputs of a tile. Where an axis ends with 1 or 2 of them, two of Winograd's smaller form F(2, 3) do, whose points
/// are the positions 0, 1, 2 and 5 of the larger one's six, with the same weights (WinogradKernel::has_halves).
struct WinogradSize {
  int rows = 4, columns = 4;  // 4 or 2
};

/// to[position * step + c] = (B^T (x - zero_point) B)[position][c] of one tile, for c < channels rounded up to `chunk`
/// channels of the kernel.
struct WinogradInput {
  const uint8_t* x = nullptr;  // first channel of the first input; the others at these distances
  int64_t row_bytes = 0, pixel_bytes = 0;
  const uint8_t* const* pixels = nullptr;  // or 36 addresses, row by row; null = none
  int64_t channels = 0;
  int32_t zero_point = 0;
  int16_t* to = nullptr;
  int64_t step = 0;   // elements from position to position
  WinogradSize size;  // fewer outputs than 4 x 4: by `pixels` only, of which those that they need
};

/// sums[position * sums_step + tile * panel + lane] = sum over pairs p, i < 2 of a[position * a_step + tile * row + 2 *
/// p + i] * weights[position][p][lane][i], int32 modulo 2^32. `panel` = kernel.lanes * kernel.vectors, or lanes where
/// weights are kept as codes.
struct WinogradProducts {
  const int16_t* a = nullptr;
  int64_t a_step = 0, row = 0;    // elements from position to position, from tile to tile
  const void* weights = nullptr;  // [position][pair][vector][lane][2] s16; see WinogradKernel::from_codes
  int64_t pairs = 0, tiles = 0;
  int32_t* sums = nullptr;
  int64_t sums_step = 0;
  int vectors = 1;  // of this panel
  // Tiles of two columns come first, those of two rows from half_rows on, those of both from corners on (has_halves).
  int64_t whole_columns = 0, half_rows = 0, corners = 0;
  const char* ahead = nullptr;  // weights wanted next; from_codes: as many as a vector's, else so many bytes:
  int64_t ahead_bytes = 0;
};

/// pixels[i][lane] = bias[lane] + y of the tile's pixel i, from the sums of one tile. Of smaller ones those of its own.
struct WinogradOutput {
  const int32_t* sums = nullptr;
  int64_t step = 0;  // from position to position
  const int32_t* bias = nullptr;
  int vectors = 1;
  int32_t* pixels = nullptr;  // [16][panel]
  int64_t panel = 0;
  WinogradSize size;
};

struct WinogradKernel {
  void (*input)(const WinogradInput& tile);
  void (*products)(const WinogradProducts& panel);
  void (*output)(const WinogradOutput& tile);
  /// Requantizes and stores the pixels [0, run.row_count) of run, whose sums begin at these elements of `sums`.
  void (*finish)(const ConvU8S8Run& run, const int32_t* sums, const int32_t* sum_rows);
  int lanes, vectors;  // channels of a vector, vectors of a full panel
  int chunk;           // channels that input() transforms at a time
  int rows;            // tiles of one block of sums in registers
  double dot_cycles;   // of one vector of products, for the static cost
  const char* name;
  // products() takes up to `rows` tiles and one vector of a panel, and transforms the weights on the way, each time:
  // codes, [vector][pair][k_winograd_codes * lanes], first the kernel's rows 0 and 2, [column][lane][channel of the
  // pair][row], then row 1, [column][lane][channel of the pair]. It writes the sums of `rows` tiles, of two where there
  // are one or two. output() takes products of weights whose outer positions are not scaled.
  bool from_codes = false;
  bool has_halves = false;  // takes tiles of any WinogradSize
};

inline constexpr int k_winograd_codes = 18;  // of a pair of channels, 3 x 3

extern const WinogradKernel winograd_u8s8_avx512_vnni;
extern const WinogradKernel winograd_u8s8_avx512_vnni_codes;
extern const WinogradKernel winograd_u8s8_avx_vnni;
extern const WinogradKernel winograd_u8s8_avx2;

}  // namespace octet
