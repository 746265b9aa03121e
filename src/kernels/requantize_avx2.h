#pragma once
// From floats to codes with 256-bit vectors. Included by ISA files only: all of it is in an unnamed namespace, so that
// each file has its own copy with its own flags.

#include <immintrin.h>
#include <stdint.h>

namespace octet {
namespace {

/// clamp(rne(v) + zero_point, lo, hi) for 32 values. The upper bound is applied before rounding, which gives the same
/// code because the bound is an integer, and keeps +inf and 2^31 from wrapping; anything too small converts to INT_MIN,
/// which the packs saturate: a value beyond 16 bits is beyond [lo, hi] with any zero point.
struct CodeRange256 {
  __m256 upper, nan;  // nan: what NaN becomes, 0 or upper if that is less
  __m256i zero_point, lo;
  CodeRange256(int32_t zp, int32_t lowest, int32_t highest)
      : upper(_mm256_set1_ps(static_cast<float>(highest - zp))),
        nan(_mm256_set1_ps(static_cast<float>(highest < zp ? highest - zp : 0))),
        zero_point(_mm256_set1_epi16(static_cast<int16_t>(zp))),
        lo(_mm256_set1_epi8(static_cast<char>(lowest))) {}

  __m256i round(__m256 v) const { return _mm256_cvtps_epi32(_mm256_min_ps(v, upper)); }
  /// The same with NaN -> 0, that is, the zero point.
  __m256i round_nan(__m256 v) const {
    const __m256 is_nan = _mm256_cmp_ps(v, v, _CMP_UNORD_Q);
    return _mm256_cvtps_epi32(_mm256_blendv_ps(_mm256_min_ps(v, upper), nan, is_nan));
  }
  /// Packs within 128-bit lanes: lane L of the result is lane L of q0, q1, q2, q3.
  __m256i pack(__m256i q0, __m256i q1, __m256i q2, __m256i q3) const {
    const __m256i low = _mm256_adds_epi16(_mm256_packs_epi32(q0, q1), zero_point);
    const __m256i high = _mm256_adds_epi16(_mm256_packs_epi32(q2, q3), zero_point);
    return _mm256_max_epu8(_mm256_packus_epi16(low, high), lo);
  }
};

/// Undoes pack() on four vectors of consecutive values: dword j of lane L came from vector j, so it goes to 2 j + L.
inline __m256i natural_order(__m256i packed) {
  return _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

inline __m256i load_codes(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
inline void store_codes(uint8_t* p, __m256i v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }

/// The first n of 8 floats, n from 0 to 8.
inline __m256i first_8(int64_t n) {
  const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n > 8 ? 8 : n < 0 ? 0 : static_cast<int32_t>(n)), index);
}

/// 32 codes as exact floats code - zero_point, in the order that pack() undoes: bytes are unpacked into the mantissa of
/// 2^23, so one subtraction both converts and centres.
struct Centred256 {
  __m256 v[4];
  Centred256(__m256i codes, __m256 bias) {
    const __m256i zero = _mm256_setzero_si256(), exponent = _mm256_set1_epi16(0x4b00);
    const __m256i lo = _mm256_unpacklo_epi8(codes, zero), hi = _mm256_unpackhi_epi8(codes, zero);
    v[0] = _mm256_sub_ps(_mm256_castsi256_ps(_mm256_unpacklo_epi16(lo, exponent)), bias);
    v[1] = _mm256_sub_ps(_mm256_castsi256_ps(_mm256_unpackhi_epi16(lo, exponent)), bias);
    v[2] = _mm256_sub_ps(_mm256_castsi256_ps(_mm256_unpacklo_epi16(hi, exponent)), bias);
    v[3] = _mm256_sub_ps(_mm256_castsi256_ps(_mm256_unpackhi_epi16(hi, exponent)), bias);
  }
  static __m256 bias(int32_t zero_point) { return _mm256_set1_ps(0x1p23f + static_cast<float>(zero_point)); }
};

}  // namespace
}  // namespace octet
