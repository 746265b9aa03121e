#pragma once
// The 256-bit kernels, what follows the sums of a tile: to values, to codes or floats, and out. Everything is in an
// unnamed namespace: each ISA file has its own copy with its own flags. What takes an array of accumulators is always
// inlined: they would lie in memory all along.

#include <immintrin.h>

#include "kernels/conv_u8s8/conv_u8s8_isa.h"

namespace octet {
namespace {

/// 8 residual codes of vector v, widened. Packed order (C > 1, u8): see conv_u8s8_channel.
template <int C, bool f32>
inline __m256i residual_codes(const uint8_t* p, int v) {
  if constexpr (C > 2 && !f32) {
    int32_t low, high;
    __builtin_memcpy(&low, p + 4 * v, 4);
    __builtin_memcpy(&high, p + 4 * (C + v), 4);
    return _mm256_cvtepu8_epi32(_mm_insert_epi32(_mm_cvtsi32_si128(low), high, 1));
  }
  if (C == 1 || f32) return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p + 8 * v)));
  const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  const __m128i order = v == 0 ? _mm_setr_epi8(0, 1, 2, 3, 8, 9, 10, 11, -1, -1, -1, -1, -1, -1, -1, -1)
                               : _mm_setr_epi8(4, 5, 6, 7, 12, 13, 14, 15, -1, -1, -1, -1, -1, -1, -1, -1);
  return _mm256_cvtepu8_epi32(_mm_shuffle_epi8(codes, order));
}

/// f = cvt(acc) * m, or fma(cvt(acc), m, cvt(residual - zr) * mr).
template <int C, bool f32>
inline __m256 scaled(const ConvU8S8Run& tile, __m256i acc, int r, int v) {
  const __m256 m = _mm256_loadu_ps(tile.multiplier + 8 * v);
  const __m256 f = _mm256_cvtepi32_ps(acc);
  if (!tile.residual) return _mm256_mul_ps(f, m);
  const __m256i codes = residual_codes<C, f32>(tile.residual + tile.residual_pixels[r] * tile.residual_step, v);
  const __m256i centred = _mm256_sub_epi32(codes, _mm256_set1_epi32(tile.residual_zero_point));
  const __m256 scaled_residual = _mm256_mul_ps(_mm256_cvtepi32_ps(centred), _mm256_set1_ps(tile.residual_multiplier));
  return _mm256_fmadd_ps(f, m, scaled_residual);
}

/// Clamping from above before rounding equals clamping after it (the bound is an integer). From below nothing is
/// needed: vcvtps2dq gives INT_MIN for anything too small, and packs saturates it.
template <int C>
inline __m256i rounded(const ConvU8S8Run& tile, __m256i acc, int r, int v) {
  const __m256 upper = _mm256_set1_ps(static_cast<float>(tile.hi - tile.y_zero_point));
  return _mm256_cvtps_epi32(_mm256_min_ps(scaled<C, false>(tile, acc, r, v), upper));
}

/// Of two vectors, 128 bits by 128 bits.
inline __m256i packed_words(const ConvU8S8Run& tile, __m256i a, __m256i b) {
  return _mm256_adds_epi16(_mm256_packs_epi32(a, b), _mm256_set1_epi16(static_cast<int16_t>(tile.y_zero_point)));
}

/// Stores codes in natural order, which packs and packus make thanks to the packing.
template <int C>
inline __attribute__((always_inline)) void store_codes(const ConvU8S8Run& tile, const __m256i (&acc)[C], int r) {
  uint8_t* const y = static_cast<uint8_t*>(tile.y) + tile.y_pixels[r] * tile.y_step;
  const __m256i q0 = rounded<C>(tile, acc[0], r, 0), q1 = C == 1 ? q0 : rounded<C>(tile, acc[C > 1], r, 1);
  __m256i words = packed_words(tile, q0, q1);
  if (C == 1) words = _mm256_permute4x64_epi64(words, 0x08);
  uint8_t row[32];
  if constexpr (C <= 2) {
    __m128i codes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    codes = _mm_max_epu8(codes, _mm_set1_epi8(static_cast<char>(tile.lo)));
    if (tile.channels == 16) return _mm_storeu_si128(reinterpret_cast<__m128i*>(y), codes);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(row), codes);
  } else {
    const __m256i q2 = rounded<C>(tile, acc[2], r, 2), q3 = C == 3 ? q2 : rounded<C>(tile, acc[C - 1], r, C - 1);
    __m256i codes = _mm256_packus_epi16(words, packed_words(tile, q2, q3));
    codes = _mm256_max_epu8(codes, _mm256_set1_epi8(static_cast<char>(tile.lo)));
    if (tile.channels == 32) return _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), codes);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(row), _mm256_castsi256_si128(codes));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(row + 4 * C), _mm256_extracti128_si256(codes, 1));
  }
  __builtin_memcpy(y, row, static_cast<size_t>(tile.channels));
}

template <int C>
inline __attribute__((always_inline)) void store_floats(const ConvU8S8Run& tile, const __m256i (&acc)[C], int r) {
  float row[8 * C];
#pragma GCC unroll 4
  for (int v = 0; v < C; ++v) _mm256_storeu_ps(row + 8 * v, scaled<C, true>(tile, acc[v], r, v));
  __builtin_memcpy(static_cast<float*>(tile.y) + tile.y_pixels[r] * tile.y_step, row,
                   4 * static_cast<size_t>(tile.channels));
}

template <int R, int C>
inline __attribute__((always_inline)) void finish(const ConvU8S8Run& tile, const __m256i (&acc)[R][C]) {
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r) {
    if (tile.f32_output)
      store_floats<C>(tile, acc[r], r);
    else
      store_codes<C>(tile, acc[r], r);
  }
}

}  // namespace
}  // namespace octet
