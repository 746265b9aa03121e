#pragma once
// From floats to codes with 512-bit vectors. Included by ISA files only: all of it is in an unnamed namespace, so that
// each file has its own copy with its own flags.

#include <immintrin.h>
#include <stdint.h>

namespace octet {
namespace {

/// clamp(rne(v) + zero_point, lo, hi) for 64 values. The upper bound is applied before rounding, which gives the same
/// code because the bound is an integer, and keeps +inf and 2^31 from wrapping; anything too small converts to INT_MIN,
/// which the packs saturate: a value beyond 16 bits is beyond [lo, hi] with any zero point.
struct CodeRange512 {
  __m512 upper, nan;  // nan: what NaN becomes, 0 or upper if that is less
  __m512i zero_point, lo;
  CodeRange512(int32_t zp, int32_t lowest, int32_t highest)
      : upper(_mm512_set1_ps(static_cast<float>(highest - zp))),
        nan(_mm512_set1_ps(static_cast<float>(highest < zp ? highest - zp : 0))),
        zero_point(_mm512_set1_epi16(static_cast<int16_t>(zp))),
        lo(_mm512_set1_epi8(static_cast<char>(lowest))) {}

  __m512i round(__m512 v) const { return _mm512_cvtps_epi32(_mm512_min_ps(v, upper)); }
  /// The same with NaN -> 0, that is, the zero point.
  __m512i round_nan(__m512 v) const {
    return _mm512_cvtps_epi32(_mm512_mask_min_ps(nan, _mm512_cmp_ps_mask(v, v, _CMP_ORD_Q), v, upper));
  }
  /// Packs within 128-bit lanes: lane L of the result is lane L of q0, q1, q2, q3.
  __m512i pack(__m512i q0, __m512i q1, __m512i q2, __m512i q3) const {
    const __m512i low = _mm512_adds_epi16(_mm512_packs_epi32(q0, q1), zero_point);
    const __m512i high = _mm512_adds_epi16(_mm512_packs_epi32(q2, q3), zero_point);
    return _mm512_max_epu8(_mm512_packus_epi16(low, high), lo);
  }
};

/// x / divisor for codes: rounds to the same integer as the quotient does, mostly without a division (16 cycles for 16
/// values on some CPUs). Where |x / divisor| < 1024, x * (1 / divisor) is less than 1024 * 3 * 2^-24 < 2^-12 away from
/// the rounded quotient, so both round alike unless a tie is nearer than that; then, and for NaN, the vector is
/// divided. Farther out both are beyond every code. A reciprocal that is not normal is never used.
struct Quotient512 {
  __m512 divisor, inverse, near;
  explicit Quotient512(float d)
      : divisor(_mm512_set1_ps(d)),
        inverse(_mm512_set1_ps(1.0f / d)),
        near(_mm512_set1_ps(d >= 0x1p-100f && d <= 0x1p100f ? 0x1p-12f : 2.0f)) {}

  __m512 operator()(__m512 x) const {
    const __m512 y = _mm512_mul_ps(x, inverse);
    const __m512 to_nearest = _mm512_sub_ps(y, _mm512_roundscale_ps(y, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    const __m512 to_tie = _mm512_sub_ps(_mm512_set1_ps(0.5f), _mm512_abs_ps(to_nearest));
    const __mmask16 unsure = _mm512_cmp_ps_mask(to_tie, near, _CMP_NGT_UQ);
    if (__builtin_expect(unsure != 0, 0)) return _mm512_div_ps(x, divisor);
    return y;
  }
};

/// Undoes pack() on four vectors of consecutive values: dword j of lane L came from vector j, so it goes to 4 j + L.
inline __m512i natural_order(__m512i packed) {
  return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), packed);
}

inline __mmask64 first_64(int64_t n) { return n >= 64 ? ~0ull : n <= 0 ? 0 : (1ull << n) - 1; }
inline __mmask32 first_32(int64_t n) { return n >= 32 ? ~0u : n <= 0 ? 0 : (1u << n) - 1; }
inline __mmask16 first_16(int64_t n) { return n >= 16 ? 0xffff : n <= 0 ? 0 : static_cast<__mmask16>((1u << n) - 1); }

/// 64 codes as exact floats code - zero_point, in the order that pack() undoes: bytes are unpacked into the mantissa of
/// 2^23, so one subtraction both converts and centres.
struct Centred512 {
  __m512 v[4];
  Centred512(__m512i codes, __m512 bias) {
    const __m512i zero = _mm512_setzero_si512(), exponent = _mm512_set1_epi16(0x4b00);
    const __m512i lo = _mm512_unpacklo_epi8(codes, zero), hi = _mm512_unpackhi_epi8(codes, zero);
    v[0] = _mm512_sub_ps(_mm512_castsi512_ps(_mm512_unpacklo_epi16(lo, exponent)), bias);
    v[1] = _mm512_sub_ps(_mm512_castsi512_ps(_mm512_unpackhi_epi16(lo, exponent)), bias);
    v[2] = _mm512_sub_ps(_mm512_castsi512_ps(_mm512_unpacklo_epi16(hi, exponent)), bias);
    v[3] = _mm512_sub_ps(_mm512_castsi512_ps(_mm512_unpackhi_epi16(hi, exponent)), bias);
  }
  static __m512 bias(int32_t zero_point) { return _mm512_set1_ps(0x1p23f + static_cast<float>(zero_point)); }
};

}  // namespace
}  // namespace octet
