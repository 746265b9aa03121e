// FP32 convolution for AVX2 and FMA3: tiles of up to 6 pixels x 16 channels in 12 of the 16 registers.

#include <immintrin.h>

#include "kernels/conv_f32/conv_f32_isa.h"
#include "kernels/implicit_gemm/find_tile_isa.h"

namespace octet {
namespace {

constexpr int k_rows = 6;

__m256i lane_mask(int32_t channels, int vector) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(channels - 8 * vector), lane);
}

// Not inlined, for the reason that run_listed_tiles() gives.
template <int R, int C>
__attribute__((noinline)) void run_tile(const ConvF32Run& tile) {
  __m256i mask[C];
  for (int v = 0; v < C; ++v) mask[v] = lane_mask(tile.channels, v);
  __m256 acc[R][C];
  const float* const* column[R];
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r) {
    const int64_t pixel = tile.pixels[r];
    const float* const start = tile.start + pixel * tile.start_step;
    column[r] = tile.rows + pixel * tile.table_segments;
    for (int v = 0; v < C; ++v) acc[r][v] = _mm256_maskload_ps(start + 8 * v, mask[v]);
  }
  const int64_t positions = tile.positions;
  const TapSegment* const end_of_list = tile.segment_list + tile.segments;
  for (const TapSegment* s = tile.segment_list; s < end_of_list; ++s) {
    const float* row[R];
    for (int r = 0; r < R; ++r) row[r] = column[r][s->segment] + tile.first_position;
    const float* weights = tile.weights + s->depth * 8 * C;
    for (int64_t k = 0; k < positions; ++k) {
      __m256 w[C];
      for (int v = 0; v < C; ++v) w[v] = _mm256_load_ps(weights + 8 * v);
      weights += 8 * C;
#pragma GCC unroll 6
      for (int r = 0; r < R; ++r) {
        const __m256 x = _mm256_broadcast_ss(row[r] + k);
        for (int v = 0; v < C; ++v) acc[r][v] = _mm256_fmadd_ps(x, w[v], acc[r][v]);
      }
    }
  }
  // max and min return their second operand when one is NaN: that keeps the NaN of a value.
  const __m256 lo = _mm256_set1_ps(tile.lo), hi = _mm256_set1_ps(tile.hi);
  const float* const residual = tile.residual;
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r) {
    const int64_t pixel = tile.pixels[r];
    float* const y = tile.y + pixel * tile.y_step;
    const float* const added = residual ? residual + pixel * tile.residual_step : nullptr;
    for (int v = 0; v < C; ++v) {
      __m256 f = acc[r][v];
      if (residual) f = _mm256_add_ps(f, _mm256_maskload_ps(added + 8 * v, mask[v]));
      _mm256_maskstore_ps(y + 8 * v, mask[v], _mm256_min_ps(hi, _mm256_max_ps(lo, f)));
    }
  }
}

struct Tiles {
  static constexpr int k_lanes = 8;
  template <int R, int C>
  static void run(const ConvF32Run& run) {
    run_listed_tiles<R, run_tile<R, C>>(run);
  }
};

}  // namespace

const ConvF32Kernel conv_f32_avx2 = {run_panel<Tiles, k_rows, 2>, k_rows, 8, 2, 0.5, "avx2 6x16"};

}  // namespace octet
