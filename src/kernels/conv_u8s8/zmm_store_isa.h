#pragma once
// The 512-bit kernels, from values to memory: codes or floats, in the order of packed channels. Everything is in an
// unnamed namespace: each file that includes this has its own copy.

#include "kernels/conv_u8s8/zmm_values_isa.h"

namespace octet {
namespace {

/// act.operator()<clamp>().
template <class Act>
inline __attribute__((always_inline)) void with_clamp(CodeClamp clamp, Act&& act) {
  switch (clamp) {
    case CodeClamp::u8: return act.template operator()<CodeClamp::u8>();
    case CodeClamp::u7: return act.template operator()<CodeClamp::u7>();
    case CodeClamp::s8: return act.template operator()<CodeClamp::s8>();
    case CodeClamp::at_zero_point: return act.template operator()<CodeClamp::at_zero_point>();
    case CodeClamp::any: return act.template operator()<CodeClamp::any>();
  }
}

/// Ways out that are seldom taken know these apart from any other codes, and so have fewer copies.
constexpr bool is_of_relu(CodeClamp clamp) { return clamp == CodeClamp::u8 || clamp == CodeClamp::u7; }

/// Requantized values, of CodeClamp::any already clamped from above, to words, its with the zero point. From below
/// nothing needs a clamp in float: vcvtps2dq gives INT_MIN for anything too small, and packs saturates it.
template <CodeClamp clamp>
inline __attribute__((always_inline)) __m512i words_of(const ConvU8S8Run& tile, __m512 f0, __m512 f1) {
  const __m512i q0 = _mm512_cvtps_epi32(f0), q1 = _mm512_cvtps_epi32(f1);
  const __m512i words = _mm512_packs_epi32(q0, q1);
  if (clamp == CodeClamp::u8 || clamp == CodeClamp::u7 || clamp == CodeClamp::s8) return words;
  return _mm512_adds_epi16(words, _mm512_set1_epi32(tile.y_zero_points));
}

template <CodeClamp clamp>
inline __attribute__((always_inline)) __m512i codes_of(const ConvU8S8Run& tile, __m512i low, __m512i high) {
  if (clamp == CodeClamp::u7) return _mm512_max_epi8(_mm512_packs_epi16(low, high), _mm512_setzero_si512());
  if (clamp == CodeClamp::s8) return _mm512_xor_si512(_mm512_packs_epi16(low, high), _mm512_set1_epi8(-128));
  const __m512i codes = _mm512_packus_epi16(low, high);
  return clamp == CodeClamp::u8 ? codes : _mm512_max_epu8(codes, _mm512_set1_epi32(tile.los));
}

/// Stores one pixel of u8 codes of 3 or 4 vectors. is_whole, here and below: channels = 16 C.
template <int C, CodeClamp clamp, bool is_whole>
inline __attribute__((always_inline)) void store_codes(const ConvU8S8Run& tile, const __m512 (&f)[C], uint8_t* y) {
  const __m512i low = words_of<clamp>(tile, f[0], f[C > 1 ? 1 : 0]);
  const __m512i high = words_of<clamp>(tile, f[C > 2 ? 2 : 0], f[C - 1]);
  __m512i codes = codes_of<clamp>(tile, low, high);
  if (C == 3) {  // 12 of the 16 bytes of each lane count
    const __m512i gather = _mm512_setr_epi32(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 3, 7, 11, 15);
    codes = _mm512_permutexvar_epi32(gather, codes);
  }
  if (C == 4 && (is_whole || tile.channels == 64))
    _mm512_storeu_si512(y, codes);
  else
    _mm512_mask_storeu_epi8(y, first_bytes(is_whole ? 16 * C : tile.channels), codes);
}

/// Stores two pixels of two vectors each, which fill one vector of codes.
template <CodeClamp clamp, bool is_whole>
inline __attribute__((always_inline)) void store_two(const ConvU8S8Run& tile, const __m512 (&f0)[2],
                                                     const __m512 (&f1)[2], uint8_t* y0, uint8_t* y1) {
  const __m512i low = words_of<clamp>(tile, f0[0], f0[1]), high = words_of<clamp>(tile, f1[0], f1[1]);
  const __m512i by_pixel = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
  const __m512i codes = _mm512_permutexvar_epi64(by_pixel, codes_of<clamp>(tile, low, high));
  if (is_whole) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(y0), _mm512_castsi512_si256(codes));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(y1), _mm512_extracti64x4_epi64(codes, 1));
    return;
  }
  const __mmask32 mask = static_cast<__mmask32>(first_bytes(tile.channels));
  _mm256_mask_storeu_epi8(y0, mask, _mm512_castsi512_si256(codes));
  _mm256_mask_storeu_epi8(y1, mask, _mm512_extracti64x4_epi64(codes, 1));
}

/// Stores four pixels of one vector each.
template <CodeClamp clamp, bool is_whole>
inline __attribute__((always_inline)) void store_four(const ConvU8S8Run& tile, const __m512 (&f)[4],
                                                      uint8_t* const (&y)[4]) {
  const __m512i low = words_of<clamp>(tile, f[0], f[1]), high = words_of<clamp>(tile, f[2], f[3]);
  const __m512i by_pixel = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i codes = _mm512_permutexvar_epi32(by_pixel, codes_of<clamp>(tile, low, high));
  const auto mask = static_cast<__mmask16>(is_whole ? 0xffff : first_bytes(tile.channels));
  _mm_mask_storeu_epi8(y[0], mask, _mm512_castsi512_si128(codes));
  _mm_mask_storeu_epi8(y[1], mask, _mm512_extracti32x4_epi32(codes, 1));
  _mm_mask_storeu_epi8(y[2], mask, _mm512_extracti32x4_epi32(codes, 2));
  _mm_mask_storeu_epi8(y[3], mask, _mm512_extracti32x4_epi32(codes, 3));
}

template <int C>
inline __attribute__((always_inline)) void store_floats(const ConvU8S8Run& tile, const __m512 (&f)[C], float* y) {
  for (int v = 0; v < C; ++v)
    _mm512_mask_storeu_ps(y + 16 * v, static_cast<__mmask16>(first_bytes(tile.channels - 16 * v)), f[v]);
}

}  // namespace
}  // namespace octet
