#pragma once
// The 512-bit kernels, from sums to values: multiplier and residual, in the order of packed channels
// (conv_u8s8_channel). Everything is in an unnamed namespace: each file that includes this has its own copy.

#include <immintrin.h>

#include "kernels/conv_u8s8/conv_u8s8_isa.h"

namespace octet {
namespace {

/// Floats are asked about a residual while they are stored; they take no less time for it than codes would.
enum class Form { u8, u8_residual, f32 };

template <Form form>
inline __attribute__((always_inline)) bool has_residual(const ConvU8S8Run& tile) {
  return form == Form::u8_residual || (form == Form::f32 && tile.residual);
}
constexpr bool is_f32(Form form) { return form == Form::f32; }

constexpr __mmask64 first_bytes(int64_t n) { return n >= 64 ? ~__mmask64{0} : (__mmask64{1} << n) - 1; }

/// The high halves of floats 2^23 + code. From memory, where the compiler does not see it: it would bring the number
/// through a general register, and that takes a turn of the units that multiply.
inline __attribute__((always_inline)) __m512i exponents() {
  static const int32_t high_halves = 0x4b004b00;
  const int32_t* from = &high_halves;
  __asm__("" : "+r"(from));
  return _mm512_set1_epi32(*from);
}

/// The residual codes that belong to each vector in the mantissas of floats 2^23 + code, so that one subtraction both
/// converts and centres. Packed order (u8 output): lane l of 128 bits holds the channels 4 C l .. 4 C (l + 1) - 1, four
/// in each vector (conv_u8s8_channel). is_whole: channels = 16 C.
template <int C, bool is_whole>
inline __attribute__((always_inline)) void residual_codes(const uint8_t* p, int32_t channels, bool f32,
                                                          __m512i (&r)[C]) {
  const __m512i zero = _mm512_setzero_si512(), exponent = exponents();
  if (C == 1 || f32) {
    for (int v = 0; v < C; ++v) {
      const auto mask = static_cast<__mmask16>(is_whole ? 0xffff : first_bytes(channels - 16 * v));
      r[v] =
          _mm512_or_si512(_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, p + 16 * v)), _mm512_set1_epi32(0x4b000000));
    }
    return;
  }
  if (C == 2) {
    const __m256i codes = is_whole ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))
                                   : _mm256_maskz_loadu_epi8(static_cast<__mmask32>(first_bytes(channels)), p);
    const __m512i words = _mm512_cvtepu8_epi16(codes);
    r[0] = _mm512_unpacklo_epi16(words, exponent);
    r[C > 1 ? 1 : 0] = _mm512_unpackhi_epi16(words, exponent);
    return;
  }
  __m512i codes = C == 4 && is_whole ? _mm512_loadu_si512(p)
                                     : _mm512_maskz_loadu_epi8(first_bytes(is_whole ? 16 * C : channels), p);
  if (C == 3) {  // 12 bytes to each lane
    const __m512i spread = _mm512_setr_epi32(0, 1, 2, 2, 3, 4, 5, 5, 6, 7, 8, 8, 9, 10, 11, 11);
    codes = _mm512_permutexvar_epi32(spread, codes);
  }
  const __m512i low = _mm512_unpacklo_epi8(codes, zero), high = _mm512_unpackhi_epi8(codes, zero);
  r[0] = _mm512_unpacklo_epi16(low, exponent);
  r[C > 1 ? 1 : 0] = _mm512_unpackhi_epi16(low, exponent);
  r[C > 2 ? 2 : 0] = _mm512_unpacklo_epi16(high, exponent);
  if (C == 4) r[C > 3 ? 3 : 0] = _mm512_unpackhi_epi16(high, exponent);
}

/// cvt(code - zero point) * multiplier, rounded once, from the mantissas that residual_codes gives. from_zero: the zero
/// point is 0 and the multiplier as small as code_clamp() asks for. Then 2^23 * multiplier is a float, and one fma does
/// it.
template <bool from_zero>
inline __attribute__((always_inline)) __m512 scaled_residual(const ConvU8S8Run& tile, __m512i code) {
  const __m512 f = _mm512_castsi512_ps(code), mr = _mm512_set1_ps(tile.residual_multiplier);
  if (from_zero) return _mm512_fmadd_ps(f, mr, _mm512_set1_ps(tile.residual_origin));
  return _mm512_mul_ps(_mm512_sub_ps(f, _mm512_set1_ps(tile.residual_centre)), mr);
}

/// The residual of the tile's pixel r; null without one.
template <Form form>
inline __attribute__((always_inline)) const uint8_t* residual_of(const ConvU8S8Run& tile, int r) {
  return has_residual<form>(tile) ? tile.residual + tile.residual_pixels[r] * tile.residual_step : nullptr;
}

/// f = cvt(acc) * m, or fma(cvt(acc), m, cvt(residual - zr) * mr). Codes are clamped from above: clamping before
/// rounding equals clamping after it, since rounding is monotone and the bound is an integer. Only where CodeClamp::any
/// asks for it: other codes are clamped by the packs behind. is_whole: channels = 16 C. from_zero: of
/// scaled_residual(). multiplier: the tile's, which a caller that has stored codes need not load again.
template <int C, Form form, CodeClamp clamp, bool is_whole = false, bool from_zero = false>
inline __attribute__((always_inline)) void scale(const ConvU8S8Run& tile, const float* multiplier,
                                                 const __m512i (&acc)[C], const uint8_t* residual, __m512 upper,
                                                 __m512 (&f)[C]) {
  __m512i codes[C];
  const bool adds = has_residual<form>(tile);
  if (adds) residual_codes<C, is_whole>(residual, tile.channels, is_f32(form), codes);
#pragma GCC unroll 4
  for (int v = 0; v < C; ++v) {
    const __m512 m = _mm512_loadu_ps(multiplier + 16 * v);
    f[v] = _mm512_cvtepi32_ps(acc[v]);
    f[v] = adds ? _mm512_fmadd_ps(f[v], m, scaled_residual<from_zero>(tile, codes[v])) : _mm512_mul_ps(f[v], m);
    if (!is_f32(form) && clamp == CodeClamp::any) f[v] = _mm512_min_ps(f[v], upper);
  }
}

}  // namespace
}  // namespace octet
