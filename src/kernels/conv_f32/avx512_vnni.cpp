// FP32 convolution for AVX512: tiles of up to 6 pixels x 64 channels in 24 accumulators. A position takes 4 weight
// vectors and 6 broadcasts for 24 fma, so the loads are hidden.

#include <immintrin.h>

#include "kernels/conv_f32/conv_f32_isa.h"

namespace octet {
namespace {

__mmask16 lane_mask(int32_t channels, int vector) {
  const int32_t left = channels - 16 * vector;
  return static_cast<__mmask16>(left >= 16 ? 0xffff : (1 << left) - 1);
}

/// The lines that the next tile of this panel, R pixels on, will read and write: they may be as far as DRAM, and what
/// follows the accumulation is too short to hide that.
template <int R, int C>
inline __attribute__((always_inline)) void prefetch_next(const ConvF32Run& tile) {
  for (int r = R; r < 2 * R; ++r)
    for (int v = 0; v < C; ++v) {
      if (tile.residual) _mm_prefetch(tile.residual + r * tile.residual_step + 16 * v, _MM_HINT_T0);
      __builtin_prefetch(tile.y + r * tile.y_step + 16 * v, 1, 3);
    }
}

// Not inlined into the loop over tiles: the constants of the last lines would be kept in registers across it, and the
// inner loop has none to spare.
template <int R, int C>
__attribute__((noinline)) void run_tile(const ConvF32Run& tile) {
  prefetch_next<R, C>(tile);
  __m512 acc[R][C];
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < C; ++v)
      acc[r][v] = _mm512_maskz_loadu_ps(lane_mask(tile.channels, v), tile.start + r * tile.start_step + 16 * v);
  const float* weights = tile.weights;
  const char* prefetch = tile.prefetch;
  const int64_t positions = tile.positions, prefetch_step = prefetch < tile.prefetch_end ? 64 : 0;
  for (int64_t s = 0; s < tile.segments; ++s) {
    const float* row[R];
    for (int r = 0; r < R; ++r) row[r] = tile.rows[s * k_conv_f32_tile_rows + r] + tile.first_position;
    for (int64_t k = 0; k < positions; ++k) {
      _mm_prefetch(prefetch, _MM_HINT_T1);
      prefetch += prefetch_step;
      __m512 w[C];
      for (int v = 0; v < C; ++v) w[v] = _mm512_load_ps(weights + 16 * v);
      weights += 16 * C;
#pragma GCC unroll 6
      for (int r = 0; r < R; ++r) {
        const __m512 x = _mm512_set1_ps(row[r][k]);
        for (int v = 0; v < C; ++v) acc[r][v] = _mm512_fmadd_ps(x, w[v], acc[r][v]);
      }
    }
  }
  // max and min return their second operand when one is NaN: that keeps the NaN of a value.
  const __m512 lo = _mm512_set1_ps(tile.lo), hi = _mm512_set1_ps(tile.hi);
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < C; ++v) {
      const __mmask16 mask = lane_mask(tile.channels, v);
      __m512 f = acc[r][v];
      if (tile.residual)
        f = _mm512_add_ps(f, _mm512_maskz_loadu_ps(mask, tile.residual + r * tile.residual_step + 16 * v));
      _mm512_mask_storeu_ps(tile.y + r * tile.y_step + 16 * v, mask, _mm512_min_ps(hi, _mm512_max_ps(lo, f)));
    }
}

template <int R, int C>
void run_tiles(const ConvF32Run& run) {
  ConvF32Run tile = run;
  for (int32_t t = 0; t < run.tiles; ++t) {
    run_tile<R, C>(tile);
    tile.rows += tile.table_segments * k_conv_f32_tile_rows;
    tile.start += R * tile.start_step;
    if (tile.residual) tile.residual += R * tile.residual_step;
    tile.y += R * tile.y_step;
    tile.prefetch += tile.segments * tile.positions * 64;
  }
}

template <int C>
void run_rows(const ConvF32Run& run) {
  switch (run.row_count) {
    case 1: return run_tiles<1, C>(run);
    case 2: return run_tiles<2, C>(run);
    case 3: return run_tiles<3, C>(run);
    case 4: return run_tiles<4, C>(run);
    case 5: return run_tiles<5, C>(run);
    default: return run_tiles<6, C>(run);
  }
}

void run_any(const ConvF32Run& run) {
  switch ((run.channels + 15) / 16) {
    case 1: return run_rows<1>(run);
    case 2: return run_rows<2>(run);
    case 3: return run_rows<3>(run);
    default: return run_rows<4>(run);
  }
}

}  // namespace

const ConvF32Kernel conv_f32_avx512_vnni = {run_any, 16, 4, "avx512_vnni 6x64"};

}  // namespace octet
