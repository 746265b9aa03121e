#pragma once
// bfloat16 convolution for AVX512-BF16: tiles of up to `rows` pixels x `vectors` * 16 channels; a pair of positions
// takes `vectors` weight vectors and `rows` broadcasts for rows * vectors vdpbf16ps. Everything is in an unnamed
// namespace: each file that includes this has its own copy.

#include <immintrin.h>

#include "kernels/conv_bf16/conv_bf16_isa.h"

namespace octet {
namespace {

inline __attribute__((always_inline)) __m512bh pair_of(const uint16_t* x) {
  int pair;
  __builtin_memcpy(&pair, x, 4);
  return (__m512bh)_mm512_set1_epi32(pair);
}

template <int vectors, int R, int C>
__attribute__((noinline)) void run_tile(const ConvBf16Block& block, const uint16_t* x, float* sums) {
  __m512 acc[R][C];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < C; ++v) acc[r][v] = _mm512_load_ps(block.bias + 16 * v);
  const uint16_t* weights = block.weights;
  const int64_t positions = 2 * block.steps;
  for (int64_t s = 0; s < block.segments; ++s) {
    const uint16_t* row[R];
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r)
      row[r] = block.table ? block.table[s * block.table_rows + r] + block.first_position : x + r * block.x_step;
    for (int64_t k = 0; k < positions; k += 2) {
      __m512bh w[C];
#pragma GCC unroll 4
      for (int v = 0; v < C; ++v) w[v] = (__m512bh)_mm512_load_si512(weights + 32 * v);
      weights += 32 * C;
#pragma GCC unroll 12
      for (int r = 0; r < R; ++r) {
        const __m512bh pair = pair_of(row[r] + k);
#pragma GCC unroll 4
        for (int v = 0; v < C; ++v) acc[r][v] = _mm512_dpbf16_ps(acc[r][v], pair, w[v]);
      }
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < C; ++v) _mm512_store_ps(sums + r * 16 * vectors + 16 * v, acc[r][v]);
}

/// Finds R among 1 .. rows.
template <int vectors, int R, int C>
void run_rows(const ConvBf16Block& block, int64_t rows, const uint16_t* x, float* sums) {
  if constexpr (R > 1) {
    if (rows < R) return run_rows<vectors, R - 1, C>(block, rows, x, sums);
  }
  run_tile<vectors, R, C>(block, x, sums);
}

/// Tiles of nearly equal height.
template <int rows, int vectors, int C>
void run_tiles(const ConvBf16Block& block) {
  const int64_t tiles = (block.rows + rows - 1) / rows;
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t first = block.rows * t / tiles, last = block.rows * (t + 1) / tiles;
    run_rows<vectors, rows, C>(block, last - first, block.x + first * block.x_step, block.sums + first * 16 * vectors);
  }
}

/// Finds C = block.vectors among 1 .. vectors.
template <int rows, int vectors, int C>
void run_panel(const ConvBf16Block& block) {
  if constexpr (C > 1) {
    if (block.vectors < C) return run_panel<rows, vectors, C - 1>(block);
  }
  run_tiles<rows, vectors, C>(block);
}

template <int rows, int vectors>
constexpr ConvBf16Kernel zmm_kernel(const char* name) {
  return {.configure = nullptr,
          .sums = run_panel<rows, vectors, vectors>,
          .gather = conv_bf16_gather,
          .finish = conv_bf16_finish,
          .rows = rows,
          .block_rows = 24,
          .vectors = vectors,
          .step = 2,
          .read_rows = 1,
          .dot_cycles = 0.5,
          .name = name};
}

}  // namespace
}  // namespace octet
