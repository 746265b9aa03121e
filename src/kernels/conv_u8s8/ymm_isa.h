#pragma once
// What the 256-bit kernels share: tiles of up to 6 pixels x 16 channels or 3 x 32 in 12 accumulators (of 16 registers).
// Everything is in an unnamed namespace: each ISA file has its own copy with its own flags.

#include <immintrin.h>

#include "kernels/conv_u8s8/ymm_finish_isa.h"
#include "kernels/implicit_gemm/find_tile_isa.h"

namespace octet {
namespace {

constexpr int k_rows = 6;

__m256i broadcast_4(const uint8_t* p) {
  int32_t four;
  __builtin_memcpy(&four, p, 4);
  return _mm256_set1_epi32(four);
}

/// Runs made of Tile<rows, vectors>::run, which does one tile.
template <template <int, int> class Tile>
struct Tiles {
  static constexpr int k_lanes = 8;
  template <int R, int C>
  static void run(const ConvU8S8Run& run) {
    ConvU8S8Run tile = run;
    for (int32_t t = 0; t < run.tiles; ++t) {
      Tile<R, C>::run(tile);
      tile.x_offsets += R;
      tile.y_pixels += R;
      if (tile.residual) tile.residual_pixels += R;
    }
  }
};

/// Sums of 6 pixels x 16 channels where four codes and four weights meet in one dword; Dot: how they do. A step of 4
/// positions is 2 weight vectors, 6 broadcasts and 12 products.
template <class Dot>
struct DwordTiles {
  template <int R, int C>
  struct Tile {
    // Not inlined into the loop over tiles: the constants of the last lines would be kept in registers across it, and
    // the inner loop has none to spare.
    __attribute__((noinline)) static void run(const ConvU8S8Run& tile) {
      __m256i acc[R][C];
#pragma GCC unroll 6
      for (int r = 0; r < R; ++r)
        for (int v = 0; v < C; ++v) acc[r][v] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(tile.bias + 8 * v));
      const Dot dot;
      const uint8_t* row[R];
      for (int r = 0; r < R; ++r) row[r] = tile.x + tile.x_offsets[r];
      const WindowSegment* const end = tile.segment_list + tile.segments;
      for (const WindowSegment* s = tile.segment_list; s < end; ++s) {
        const __m256i* weights = static_cast<const __m256i*>(tile.weights) + C * s->dword;
        const int64_t last = s->x + 4 * s->dwords;
        for (int64_t at = s->x; at != last; at += 4) {
          __m256i w[C];
          for (int v = 0; v < C; ++v) w[v] = _mm256_load_si256(weights++);
#pragma GCC unroll 6
          for (int r = 0; r < R; ++r) {
            const __m256i x = broadcast_4(row[r] + at);
            for (int v = 0; v < C; ++v) acc[r][v] = dot(acc[r][v], x, w[v]);
          }
        }
      }
      finish<R, C>(tile, acc);
    }
  };
};

}  // namespace
}  // namespace octet
