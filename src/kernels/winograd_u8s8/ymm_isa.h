#pragma once
// What the two 256-bit kernels share: all but how products of s16 are added. Tiles of 6 x 16 channels in 12 of the 16
// registers, as in the direct way. Everything is in an unnamed namespace: each ISA file has its own copy with its own
// flags.

#include "kernels/conv_u8s8/ymm_isa.h"
#include "kernels/winograd_u8s8/winograd_isa.h"
#include "kernels/winograd_u8s8/ymm_transforms_isa.h"

namespace octet {
namespace {

constexpr int k_panel = 16;

/// What a block of tiles does for the next position's weights.
enum class Bring { nothing, into_l2, into_l1 };

/// Sums of R tiles. Dot: how pairs of products are added, modulo 2^32.
template <class Dot, Bring bring, int R, int C>
__attribute__((noinline)) void run_block(const WinogradProducts& p, const int16_t* a, const __m256i* weights,
                                         int32_t* sums) {
  const Dot dot;
  __m256i acc[R][C];
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < C; ++v) acc[r][v] = _mm256_setzero_si256();
  const uint8_t* row[R];
  for (int r = 0; r < R; ++r) row[r] = reinterpret_cast<const uint8_t*>(a + r * p.row);
  for (int64_t k = 0; k < 4 * p.pairs; k += 4, weights += C) {
    if constexpr (bring != Bring::nothing)
      _mm_prefetch(reinterpret_cast<const char*>(weights + C * p.pairs),
                   bring == Bring::into_l2 ? _MM_HINT_T1 : _MM_HINT_T0);
    __m256i w[C];
    for (int v = 0; v < C; ++v) w[v] = _mm256_load_si256(weights + v);
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) {
      const __m256i x = broadcast_4(row[r] + k);
      for (int v = 0; v < C; ++v) acc[r][v] = dot(acc[r][v], x, w[v]);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < C; ++v) _mm256_store_si256(reinterpret_cast<__m256i*>(sums + k_panel * r + 8 * v), acc[r][v]);
}

template <class Dot, Bring bring, int R, int C>
void run_rows_of(int64_t rows, const WinogradProducts& p, const int16_t* a, const __m256i* weights, int32_t* sums) {
  if constexpr (R > 1) {
    if (rows < R) return run_rows_of<Dot, bring, R - 1, C>(rows, p, a, weights, sums);
  }
  run_block<Dot, bring, R, C>(p, a, weights, sums);
}

/// The first block brings the next position's weights into L2, the last one into L1. A single block would ask for them
/// when they are wanted.
template <class Dot, int C>
void run_blocks(const WinogradProducts& p) {
  const int64_t blocks = (p.tiles + k_rows - 1) / k_rows;
  const auto* weights = static_cast<const __m256i*>(p.weights);
  for (int position = 0; position < k_winograd_positions; ++position, weights += C * p.pairs)
    for (int64_t b = 0; b < blocks; ++b) {
      const int64_t first = p.tiles * b / blocks, last = p.tiles * (b + 1) / blocks;
      const int16_t* const a = p.a + position * p.a_step + first * p.row;
      int32_t* const sums = p.sums + position * p.sums_step + first * k_panel;
      if (blocks > 1 && b == 0)
        run_rows_of<Dot, Bring::into_l2, k_rows, C>(last - first, p, a, weights, sums);
      else if (blocks > 1 && b == blocks - 1)
        run_rows_of<Dot, Bring::into_l1, k_rows, C>(last - first, p, a, weights, sums);
      else
        run_rows_of<Dot, Bring::nothing, k_rows, C>(last - first, p, a, weights, sums);
    }
}

template <class Dot>
void products(const WinogradProducts& p) {
  return p.vectors == 1 ? run_blocks<Dot, 1>(p) : run_blocks<Dot, 2>(p);
}

template <int C>
void finish_rows(const ConvU8S8Run& run, const int32_t* sums, const int32_t* sum_rows) {
  for (int r = 0; r < run.row_count; ++r) {
    __m256i acc[C];
    for (int v = 0; v < C; ++v)
      acc[v] = _mm256_load_si256(reinterpret_cast<const __m256i*>(sums + sum_rows[r] + 8 * v));
    if (run.f32_output)
      store_floats<C>(run, acc, r);
    else
      store_codes<C>(run, acc, r);
  }
}

void finish_panel(const ConvU8S8Run& run, const int32_t* sums, const int32_t* sum_rows) {
  return run.channels <= 8 ? finish_rows<1>(run, sums, sum_rows) : finish_rows<2>(run, sums, sum_rows);
}

template <class Dot>
constexpr WinogradKernel ymm_kernel(double dot_cycles, const char* name) {
  return {
      .input = input,
      .products = products<Dot>,
      .output = output,
      .finish = finish_panel,
      .lanes = 8,
      .vectors = 2,
      .chunk = 16,
      .rows = k_rows,
      .dot_cycles = dot_cycles,
      .name = name,
  };
}

}  // namespace
}  // namespace octet
