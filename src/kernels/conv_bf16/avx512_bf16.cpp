// bfloat16 convolution for AVX512-BF16: tiles of up to 6 pixels x 64 channels, 8 x 48 or 12 x 32. A pair of positions
// takes a weight vector per 16 channels and a broadcast per pixel.

#include <immintrin.h>

#include "kernels/conv_bf16/conv_bf16_isa.h"
#include "kernels/implicit_gemm/find_tile_isa.h"

namespace octet {
namespace {

inline __attribute__((always_inline)) __m512bh pair_of(const uint16_t* x) {
  int pair;
  __builtin_memcpy(&pair, x, 4);
  return (__m512bh)_mm512_set1_epi32(pair);
}
inline __attribute__((always_inline)) __m512 widen(__m256i bf16) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bf16), 16));
}

/// Of the last vector of `vectors`; the others are whole.
__mmask16 last_mask(int32_t channels, int vectors) {
  return static_cast<__mmask16>(0xffff >> (16 * vectors - channels));
}

/// As in conv_f32/zmm_isa.h: what the r-th pixel of the list will read and write.
template <int C>
inline __attribute__((always_inline)) void prefetch_pixel(const ConvBf16Run& tile, int r) {
  const int64_t pixel = tile.pixels[r];
  const char* const y = static_cast<const char*>(tile.y) + pixel * tile.y_step * (tile.y_is_bf16 ? 2 : 4);
  for (int line = 0; line < (tile.y_is_bf16 ? (C + 1) / 2 : C); ++line) __builtin_prefetch(y + 64 * line, 1, 3);
  if (!tile.residual) return;
  const char* const residual =
      static_cast<const char*>(tile.residual) + pixel * tile.residual_step * (tile.residual_is_bf16 ? 2 : 4);
  for (int line = 0; line < (tile.residual_is_bf16 ? (C + 1) / 2 : C); ++line)
    _mm_prefetch(residual + 64 * line, _MM_HINT_T0);
}

template <int C>
inline __attribute__((always_inline)) void store_rounded(uint16_t* y, __mmask16 last, const __m512 (&acc)[C]) {
#pragma GCC unroll 2
  for (int v = 0; v + 1 < C; v += 2) {
    const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(acc[v + 1], acc[v]);
    if (v + 2 < C)
      _mm512_storeu_si512(y + 16 * v, both);
    else
      _mm512_mask_storeu_epi16(y + 16 * v, 0xffffu | static_cast<__mmask32>(last) << 16, both);
  }
  if constexpr (C % 2 == 1) _mm256_mask_storeu_epi16(y + 16 * (C - 1), last, (__m256i)_mm512_cvtneps_pbh(acc[C - 1]));
}

/// What is behind the sums of `rows` pixels, [row][C vectors]. A loop of its own for each C and not a part of each
/// tile: that is half the code, and a few dozen moves through L1 are little beside a tile's products.
template <int C, bool residual_is_bf16, bool y_is_bf16>
void finish_rows(const ConvBf16Run& tile, const __m512* sums, int rows) {
  const __mmask16 last = last_mask(tile.channels, C);
  // max and min return their second operand when one is NaN: that keeps the NaN of a value.
  const __m512 lo = _mm512_set1_ps(tile.lo), hi = _mm512_set1_ps(tile.hi);
  for (int r = 0; r < rows; ++r, sums += C) {
    const int64_t pixel = tile.pixels[r];
    __m512 acc[C];
#pragma GCC unroll 4
    for (int v = 0; v < C; ++v) acc[v] = sums[v];
    if (tile.residual) {
      const auto* const brains = static_cast<const uint16_t*>(tile.residual) + pixel * tile.residual_step;
      const auto* const floats = static_cast<const float*>(tile.residual) + pixel * tile.residual_step;
#pragma GCC unroll 4
      for (int v = 0; v < C; ++v) {
        const __mmask16 mask = v + 1 < C ? __mmask16{0xffff} : last;
        acc[v] = _mm512_add_ps(acc[v], residual_is_bf16 ? widen(_mm256_maskz_loadu_epi16(mask, brains + 16 * v))
                                                        : _mm512_maskz_loadu_ps(mask, floats + 16 * v));
      }
    }
#pragma GCC unroll 4
    for (int v = 0; v < C; ++v) acc[v] = _mm512_min_ps(hi, _mm512_max_ps(lo, acc[v]));
    if constexpr (y_is_bf16) {
      uint16_t* const y = static_cast<uint16_t*>(tile.y) + pixel * tile.y_step;
      store_rounded<C>(y, last, acc);
    } else {
      float* const y = static_cast<float*>(tile.y) + pixel * tile.y_step;
#pragma GCC unroll 4
      for (int v = 0; v + 1 < C; ++v) _mm512_storeu_ps(y + 16 * v, acc[v]);
      _mm512_mask_storeu_ps(y + 16 * (C - 1), last, acc[C - 1]);
    }
  }
}

template <int C>
__attribute__((noinline)) void finish_tile(const ConvBf16Run& tile, const __m512* sums, int rows) {
  if (tile.residual_is_bf16)
    return tile.y_is_bf16 ? finish_rows<C, true, true>(tile, sums, rows)
                          : finish_rows<C, true, false>(tile, sums, rows);
  return tile.y_is_bf16 ? finish_rows<C, false, true>(tile, sums, rows)
                        : finish_rows<C, false, false>(tile, sums, rows);
}

/// The same where residual and y are bfloat16.
template <int R, int C>
inline __attribute__((always_inline)) void finish_registers(const ConvBf16Run& tile, __m512 (&acc)[R][C]) {
  const __mmask16 last = last_mask(tile.channels, C);
  const __m512 lo = _mm512_set1_ps(tile.lo), hi = _mm512_set1_ps(tile.hi);
  if (tile.residual) {
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      const uint16_t* const added = static_cast<const uint16_t*>(tile.residual) + tile.pixels[r] * tile.residual_step;
#pragma GCC unroll 4
      for (int v = 0; v + 1 < C; ++v)
        acc[r][v] = _mm512_add_ps(acc[r][v], widen(_mm256_loadu_si256((const __m256i*)(added + 16 * v))));
      acc[r][C - 1] = _mm512_add_ps(acc[r][C - 1], widen(_mm256_maskz_loadu_epi16(last, added + 16 * (C - 1))));
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
    uint16_t* const y = static_cast<uint16_t*>(tile.y) + tile.pixels[r] * tile.y_step;
#pragma GCC unroll 4
    for (int v = 0; v < C; ++v) acc[r][v] = _mm512_min_ps(hi, _mm512_max_ps(lo, acc[r][v]));
    store_rounded<C>(y, last, acc[r]);
  }
}

// Not inlined, for the reason that run_listed_tiles() gives.
template <int R, int C>
__attribute__((noinline)) void run_tile(const ConvBf16Run& tile) {
  __m512 acc[R][C];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
    const float* const start = tile.start + tile.pixels[r] * tile.start_step;
#pragma GCC unroll 4
    for (int v = 0; v < C; ++v) acc[r][v] = _mm512_loadu_ps(start + 16 * v);
  }
  const char* prefetch = tile.prefetch;
  const int64_t positions = tile.positions, prefetch_step = prefetch < tile.prefetch_end ? 64 : 0;
  // Of the first segment's positions, beside which the next tile's lines come, four or so with each.
  constexpr int k_pixels = C > 2 ? 1 : 4 / C, k_parts = (R + k_pixels - 1) / k_pixels;
  int parts = k_parts;
  const uint16_t* const* column[R];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) column[r] = tile.rows + tile.pixels[r] * tile.table_segments;
  const TapSegment* const end_of_list = tile.segment_list + tile.segments;
  for (const TapSegment* s = tile.segment_list; s < end_of_list; ++s) {
    const uint16_t* row[R];
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) row[r] = column[r][s->segment] + 2 * tile.first_position;
    const uint16_t* weights = tile.weights + s->depth * 32 * C;
    int64_t k = 0;
    for (int part = 0; part < parts; ++part) {
      if (s == tile.segment_list)
        for (int r = 0; r < k_pixels; ++r) prefetch_pixel<C>(tile, R + part * k_pixels + r);
      for (const int64_t end = part + 1 < parts ? positions * (part + 1) / k_parts : positions; k < end; ++k) {
        _mm_prefetch(prefetch, _MM_HINT_T1);
        prefetch += prefetch_step;
        __m512bh w[C];
#pragma GCC unroll 4
        for (int v = 0; v < C; ++v) w[v] = (__m512bh)_mm512_load_si512(weights + 32 * v);
        weights += 32 * C;
#pragma GCC unroll 12
        for (int r = 0; r < R; ++r) {
          const __m512bh pair = pair_of(row[r] + 2 * k);
#pragma GCC unroll 4
          for (int v = 0; v < C; ++v) acc[r][v] = _mm512_dpbf16_ps(acc[r][v], pair, w[v]);
        }
      }
    }
    parts = 1;
  }
  // Tall tiles, which most are, finish their sums in registers: 2 to 4 % of a network's time. Short ones share the
  // code.
  constexpr bool k_is_tall = R * C >= 20 || (C == 1 && R > 6);
  if (k_is_tall && tile.y_is_bf16 && !(tile.residual && !tile.residual_is_bf16))
    return finish_registers<R, C>(tile, acc);
  __m512 sums[R][C];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < C; ++v) sums[r][v] = acc[r][v];
  finish_tile<C>(tile, &sums[0][0], R);
}

struct Tiles {
  static constexpr int k_lanes = 16;
  template <int R, int C>
  static void run(const ConvBf16Run& run) {
    run_listed_tiles<R, run_tile<R, C>>(run);
  }
};

/// half_width_dot_cycles: as in conv_f32/zmm_isa.h.
template <int rows, int vectors>
constexpr ConvBf16Kernel zmm_kernel(const char* name, double half_width_dot_cycles) {
  return {.run = run_panel<Tiles, rows, vectors>,
          .gather = conv_bf16_gather,
          .finish = conv_bf16_finish,
          .rows = rows,
          .vectors = vectors,
          .dot_cycles = 0.5,
          .name = name,
          .half_width_dot_cycles = half_width_dot_cycles};
}

}  // namespace

const ConvBf16Kernel conv_bf16_avx512_bf16_6x64 = zmm_kernel<6, 4>("avx512_bf16 6x64", 0.5);
const ConvBf16Kernel conv_bf16_avx512_bf16_8x48 = zmm_kernel<8, 3>("avx512_bf16 8x48", 0.505);
const ConvBf16Kernel conv_bf16_avx512_bf16_12x32 = zmm_kernel<12, 2>("avx512_bf16 12x32", 0.55);

}  // namespace octet
