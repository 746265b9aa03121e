// FP32 convolution for AVX2 and FMA3: tiles of up to 6 pixels x 16 channels in 12 of the 16 registers.

#include <immintrin.h>

#include "kernels/conv_f32/conv_f32_isa.h"

namespace octet {
namespace {

__m256i lane_mask(int32_t channels, int vector) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(channels - 8 * vector), lane);
}

template <int R, int C>
void run_tile(const ConvF32Tile& tile) {
  __m256 acc[R][C];
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < C; ++v)
      acc[r][v] = _mm256_maskload_ps(tile.start + r * tile.start_step + 8 * v, lane_mask(tile.channels, v));
  const float* weights = tile.weights;
  const int64_t positions = tile.positions;
  for (int64_t s = 0; s < tile.segments; ++s) {
    const float* row[R];
    for (int r = 0; r < R; ++r) row[r] = tile.rows[s * k_conv_f32_tile_rows + r] + tile.first_position;
    for (int64_t k = 0; k < positions; ++k) {
      __m256 w[C];
      for (int v = 0; v < C; ++v) w[v] = _mm256_load_ps(weights + 8 * v);
      weights += 8 * C;
      for (int r = 0; r < R; ++r) {
        const __m256 x = _mm256_broadcast_ss(row[r] + k);
        for (int v = 0; v < C; ++v) acc[r][v] = _mm256_fmadd_ps(x, w[v], acc[r][v]);
      }
    }
  }
  // max and min return their second operand when one is NaN: that keeps the NaN of a value.
  const __m256 lo = _mm256_set1_ps(tile.lo), hi = _mm256_set1_ps(tile.hi);
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < C; ++v) {
      const __m256i mask = lane_mask(tile.channels, v);
      __m256 f = acc[r][v];
      if (tile.residual) f = _mm256_add_ps(f, _mm256_maskload_ps(tile.residual + r * tile.residual_step + 8 * v, mask));
      _mm256_maskstore_ps(tile.y + r * tile.y_step + 8 * v, mask, _mm256_min_ps(hi, _mm256_max_ps(lo, f)));
    }
}

template <int C>
void run_rows(const ConvF32Tile& tile) {
  switch (tile.row_count) {
    case 1: return run_tile<1, C>(tile);
    case 2: return run_tile<2, C>(tile);
    case 3: return run_tile<3, C>(tile);
    case 4: return run_tile<4, C>(tile);
    case 5: return run_tile<5, C>(tile);
    default: return run_tile<6, C>(tile);
  }
}

void run(const ConvF32Tile& tile) { return tile.channels <= 8 ? run_rows<1>(tile) : run_rows<2>(tile); }

}  // namespace

const ConvF32Kernel conv_f32_avx2 = {run, 8, 2, "avx2 6x16"};

}  // namespace octet
