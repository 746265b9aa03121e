#pragma once
// FP32 convolution for AVX512: tiles of up to `rows` pixels x `vectors` * 16 channels. A position takes `vectors`
// weight vectors and `rows` broadcasts for rows * vectors fma; 6 x 4, 8 x 3 and 12 x 2 leave the loads hidden and fill
// most of the 32 registers. Everything is in an unnamed namespace: each file that includes this has its own copy.

#include <immintrin.h>

#include "kernels/conv_f32/conv_f32_isa.h"

namespace octet {
namespace {

__mmask16 lane_mask(int32_t channels, int vector) {
  const int32_t left = channels - 16 * vector;
  return static_cast<__mmask16>(left >= 16 ? 0xffff : (1 << left) - 1);
}

/// The lines that pixel r behind this tile's first will read and write: they may be as far as DRAM, and what follows
/// the accumulation is too short to hide that. All of the next tile's at once would be more than a core can wait for
/// beside its loads, so they are asked for one pixel at a time.
template <int C>
inline __attribute__((always_inline)) void prefetch_pixel(const ConvF32Run& tile, int r) {
  for (int v = 0; v < C; ++v) {
    if (tile.residual) _mm_prefetch(tile.residual + r * tile.residual_step + 16 * v, _MM_HINT_T0);
    __builtin_prefetch(tile.y + r * tile.y_step + 16 * v, 1, 3);
  }
}

// Not inlined into the loop over tiles: the constants of the last lines would be kept in registers across it, and the
// inner loop has none to spare.
template <int rows, int R, int C>
__attribute__((noinline)) void run_tile(const ConvF32Run& tile) {
  __m512 acc[R][C];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < C; ++v)
      acc[r][v] = _mm512_maskz_loadu_ps(lane_mask(tile.channels, v), tile.start + r * tile.start_step + 16 * v);
  const float* weights = tile.weights;
  const char* prefetch = tile.prefetch;
  const int64_t positions = tile.positions, prefetch_step = prefetch < tile.prefetch_end ? 64 : 0;
  for (int64_t s = 0; s < tile.segments; ++s) {
    const float* row[R];
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) row[r] = tile.rows[s * rows + r] + tile.first_position;
    int64_t k = 0;
    for (int part = 0; part < R; ++part) {  // of the positions, beside which the next tile's lines come
      if (s == 0) prefetch_pixel<C>(tile, R + part);
      for (const int64_t end = part + 1 < R ? positions * (part + 1) / R : positions; k < end; ++k) {
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
  }
  // max and min return their second operand when one is NaN: that keeps the NaN of a value.
  const __m512 lo = _mm512_set1_ps(tile.lo), hi = _mm512_set1_ps(tile.hi);
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < C; ++v) {
      const __mmask16 mask = lane_mask(tile.channels, v);
      float* y = tile.y + r * tile.y_step + 16 * v;
      __m512 f = acc[r][v];
      if (tile.residual)
        f = _mm512_add_ps(f, _mm512_maskz_loadu_ps(mask, tile.residual + r * tile.residual_step + 16 * v));
      f = _mm512_min_ps(hi, _mm512_max_ps(lo, f));
      if (v + 1 < C || mask == 0xffff)
        _mm512_storeu_ps(y, f);
      else
        _mm512_mask_storeu_ps(y, mask, f);
    }
}

template <int rows, int R, int C>
void run_tiles(const ConvF32Run& run) {
  ConvF32Run tile = run;
  for (int32_t t = 0; t < run.tiles; ++t) {
    run_tile<rows, R, C>(tile);
    tile.rows += tile.table_segments * rows;
    tile.start += R * tile.start_step;
    if (tile.residual) tile.residual += R * tile.residual_step;
    tile.y += R * tile.y_step;
    tile.prefetch += tile.segments * tile.positions * 64;
  }
}

/// Finds R = row_count among 1 .. rows.
template <int rows, int R, int C>
void run_rows(const ConvF32Run& run) {
  if constexpr (R > 1) {
    if (run.row_count < R) return run_rows<rows, R - 1, C>(run);
  }
  return run_tiles<rows, R, C>(run);
}

/// Finds C, the vectors that the panel's channels fill, among 1 .. vectors.
template <int rows, int C>
void run_panel(const ConvF32Run& run) {
  if constexpr (C > 1) {
    if (run.channels <= 16 * (C - 1)) return run_panel<rows, C - 1>(run);
  }
  return run_rows<rows, rows, C>(run);
}

template <int rows, int vectors>
constexpr ConvF32Kernel zmm_kernel(const char* name) {
  return {run_panel<rows, vectors>, rows, 16, vectors, 0.5, name};
}

}  // namespace
}  // namespace octet
