#pragma once
// FP32 convolution for AVX512: tiles of up to `rows` pixels x `vectors` * 16 channels. A position takes `vectors`
// weight vectors and `rows` broadcasts for rows * vectors fma; 6 x 4, 8 x 3 and 12 x 2 leave the loads hidden and fill
// most of the 32 registers. Everything is in an unnamed namespace: each file that includes this has its own copy.

#include <immintrin.h>

#include "kernels/conv_f32/conv_f32_isa.h"
#include "kernels/implicit_gemm/find_tile_isa.h"

namespace octet {
namespace {

/// Of the last vector of `vectors`; the others are whole.
__mmask16 last_mask(int32_t channels, int vectors) {
  return static_cast<__mmask16>(0xffff >> (16 * vectors - channels));
}

/// The lines that the r-th pixel of the list will read and write: they may be as far as DRAM, and what follows
/// the accumulation is too short to hide that. All of the next tile's at once would be more than a core can wait for
/// beside its loads, so they are asked for one pixel at a time.
template <int C>
inline __attribute__((always_inline)) void prefetch_pixel(const ConvF32Run& tile, int r) {
  const int64_t pixel = tile.pixels[r];
  for (int v = 0; v < C; ++v) {
    if (tile.residual) _mm_prefetch(tile.residual + pixel * tile.residual_step + 16 * v, _MM_HINT_T0);
    __builtin_prefetch(tile.y + pixel * tile.y_step + 16 * v, 1, 3);
  }
}

// Not inlined, for the reason that run_listed_tiles() gives.
template <int R, int C>
__attribute__((noinline)) void run_tile(const ConvF32Run& tile) {
  const __mmask16 last = last_mask(tile.channels, C);
  __m512 acc[R][C];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
    const float* const start = tile.start + tile.pixels[r] * tile.start_step;
#pragma GCC unroll 4
    for (int v = 0; v + 1 < C; ++v) acc[r][v] = _mm512_loadu_ps(start + 16 * v);
    acc[r][C - 1] = _mm512_maskz_loadu_ps(last, start + 16 * (C - 1));
  }
  const char* prefetch = tile.prefetch;
  const int64_t positions = tile.positions, prefetch_step = prefetch < tile.prefetch_end ? 64 : 0;
  // Of the first segment's positions, beside which the next tile's lines come, four or so with each.
  constexpr int k_pixels = C > 2 ? 1 : 4 / C, k_parts = (R + k_pixels - 1) / k_pixels;
  int parts = k_parts;
  const float* const* column[R];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) column[r] = tile.rows + tile.pixels[r] * tile.table_segments;
  const TapSegment* const end_of_list = tile.segment_list + tile.segments;
  for (const TapSegment* s = tile.segment_list; s < end_of_list; ++s) {
    const float* row[R];
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) row[r] = column[r][s->segment] + tile.first_position;
    const float* weights = tile.weights + s->depth * 16 * C;
    int64_t k = 0;
    for (int part = 0; part < parts; ++part) {
      if (s == tile.segment_list)
        for (int r = 0; r < k_pixels; ++r) prefetch_pixel<C>(tile, R + part * k_pixels + r);
      for (const int64_t end = part + 1 < parts ? positions * (part + 1) / k_parts : positions; k < end; ++k) {
        _mm_prefetch(prefetch, _MM_HINT_T1);
        prefetch += prefetch_step;
        __m512 w[C];
#pragma GCC unroll 4
        for (int v = 0; v < C; ++v) w[v] = _mm512_load_ps(weights + 16 * v);
        weights += 16 * C;
#pragma GCC unroll 12
        for (int r = 0; r < R; ++r) {
          const __m512 x = _mm512_set1_ps(row[r][k]);
#pragma GCC unroll 4
          for (int v = 0; v < C; ++v) acc[r][v] = _mm512_fmadd_ps(x, w[v], acc[r][v]);
        }
      }
    }
    parts = 1;
  }
  // max and min return their second operand when one is NaN: that keeps the NaN of a value.
  const __m512 lo = _mm512_set1_ps(tile.lo), hi = _mm512_set1_ps(tile.hi);
  const float* const residual = tile.residual;
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
    const int64_t pixel = tile.pixels[r];
    float* const y = tile.y + pixel * tile.y_step;
    if (residual) {
      const float* const added = residual + pixel * tile.residual_step;
#pragma GCC unroll 4
      for (int v = 0; v + 1 < C; ++v) acc[r][v] = _mm512_add_ps(acc[r][v], _mm512_loadu_ps(added + 16 * v));
      acc[r][C - 1] = _mm512_add_ps(acc[r][C - 1], _mm512_maskz_loadu_ps(last, added + 16 * (C - 1)));
    }
#pragma GCC unroll 4
    for (int v = 0; v < C; ++v) {
      const __m512 f = _mm512_min_ps(hi, _mm512_max_ps(lo, acc[r][v]));
      if (v + 1 < C)
        _mm512_storeu_ps(y + 16 * v, f);
      else
        _mm512_mask_storeu_ps(y + 16 * v, last, f);
    }
  }
}

struct Tiles {
  static constexpr int k_lanes = 16;
  template <int R, int C>
  static void run(const ConvF32Run& run) {
    run_listed_tiles<R, run_tile<R, C>>(run);
  }
};

/// half_width_dot_cycles: by measurement; 12 rows' addresses do not fit the general registers.
template <int rows, int vectors>
constexpr ConvF32Kernel zmm_kernel(const char* name, double half_width_dot_cycles) {
  return {run_panel<Tiles, rows, vectors>, rows, 16, vectors, 0.5, name, half_width_dot_cycles};
}

}  // namespace
}  // namespace octet
