#pragma once
// The 256-bit side of interleave.inc that AVX2 and AVX-VNNI share: everything but the dot product. Included by ISA
// files only, hence the unnamed namespace.

#include <immintrin.h>
#include <stdint.h>

namespace octet {
namespace {

/// The first n of 8 floats.
inline __m256i first_8(int64_t n) {
  const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n > 8 ? 8 : n < 0 ? 0 : static_cast<int32_t>(n)), index);
}

struct Ymm {
  using Bytes = __m256i;
  using Acc = __m256i;
  using Float = __m256;
  static constexpr int k_bytes = 32;

  struct Residual {
    Residual(int32_t zero_point, float m)
        : zero_point_(_mm256_set1_epi32(zero_point)), multiplier_(_mm256_set1_ps(m)) {}
    __m256i zero_point_;
    __m256 multiplier_;
  };

  static Bytes zero() { return _mm256_setzero_si256(); }
  static Bytes words(int16_t value) { return _mm256_set1_epi16(value); }
  static Bytes load(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static Bytes load_halves(const uint8_t* p0, const uint8_t* p1) {
    const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p0));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), _mm_loadu_si128(reinterpret_cast<const __m128i*>(p1)),
                                   1);
  }
  static void store(uint8_t* p, Bytes v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }
  static Bytes unpack_lo8(Bytes a, Bytes b) { return _mm256_unpacklo_epi8(a, b); }
  static Bytes unpack_hi8(Bytes a, Bytes b) { return _mm256_unpackhi_epi8(a, b); }
  static Bytes unpack_lo16(Bytes a, Bytes b) { return _mm256_unpacklo_epi16(a, b); }
  static Bytes unpack_hi16(Bytes a, Bytes b) { return _mm256_unpackhi_epi16(a, b); }
  static Bytes bytes(int32_t value) { return _mm256_set1_epi8(static_cast<char>(value)); }
  static Bytes bit_xor(Bytes a, Bytes b) { return _mm256_xor_si256(a, b); }
  static Bytes high_u16(Bytes a, Bytes b) { return _mm256_mulhi_epu16(a, b); }
  static Bytes high_s16(Bytes a, Bytes b) { return _mm256_mulhi_epi16(a, b); }
  static Bytes adds_s16(Bytes a, Bytes b) { return _mm256_adds_epi16(a, b); }
  static Bytes pack_u8(Bytes a, Bytes b) { return _mm256_packus_epi16(a, b); }
  static Bytes clamp_u8(Bytes v, Bytes lo, Bytes hi) { return _mm256_min_epu8(_mm256_max_epu8(v, lo), hi); }
  /// The value is in a register at this point of the program.
  static Acc pin(Acc acc) {
    __asm__ volatile("" : "+x"(acc));
    return acc;
  }
  static Acc bias(const int32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }

  static Float scale(Acc acc, const float* m) { return _mm256_mul_ps(_mm256_cvtepi32_ps(acc), _mm256_loadu_ps(m)); }
  static Float scale_add(Acc acc, const float* m, Bytes r, const Residual& residual) {
    const __m256 second =
        _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(r, residual.zero_point_)), residual.multiplier_);
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(acc), _mm256_loadu_ps(m), second);
  }

  static Float from_int(int32_t n) { return _mm256_set1_ps(static_cast<float>(n)); }
  static Float from_ints(const int32_t* p) {
    return _mm256_cvtepi32_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static Float load_floats(const float* p) { return _mm256_loadu_ps(p); }
  static Float as_float(Bytes v) { return _mm256_castsi256_ps(v); }
  static Float fma(Float a, Float b, Float c) { return _mm256_fmadd_ps(a, b, c); }
  static Float shift(Bytes r, const Residual& residual) {
    return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(r, residual.zero_point_)), residual.multiplier_);
  }

  /// The packs clamp to 16 and 8 bits; a value beyond 16 bits is beyond [lo, hi] with any zero point, so nothing is
  /// lost.
  static Bytes codes(const Float (&v)[4], int32_t zero_point, int32_t lo, int32_t hi) {
    const __m256i zp = _mm256_set1_epi16(static_cast<int16_t>(zero_point));
    const __m256i low = _mm256_packs_epi32(_mm256_cvtps_epi32(v[0]), _mm256_cvtps_epi32(v[1]));
    const __m256i high = _mm256_packs_epi32(_mm256_cvtps_epi32(v[2]), _mm256_cvtps_epi32(v[3]));
    const __m256i q = _mm256_packus_epi16(_mm256_adds_epi16(low, zp), _mm256_adds_epi16(high, zp));
    return _mm256_min_epu8(_mm256_max_epu8(q, _mm256_set1_epi8(static_cast<char>(lo))),
                           _mm256_set1_epi8(static_cast<char>(hi)));
  }
  static void store_codes(uint8_t* y, Bytes v, int64_t n) {
    if (n == 32) return store(y, v);
    uint8_t row[32];
    store(row, v);
    __builtin_memcpy(y, row, static_cast<size_t>(n));
  }
  static void store_whole_half(uint8_t* y, Bytes v, int half) {
    const __m128i codes = half ? _mm256_extracti128_si256(v, 1) : _mm256_castsi256_si128(v);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(y), codes);
  }
  static void store_half(uint8_t* y, Bytes v, int half, int64_t n) {
    const __m128i codes = half ? _mm256_extracti128_si256(v, 1) : _mm256_castsi256_si128(v);
    if (n == 16) return _mm_storeu_si128(reinterpret_cast<__m128i*>(y), codes);
    uint8_t row[16];
    _mm_storeu_si128(reinterpret_cast<__m128i*>(row), codes);
    __builtin_memcpy(y, row, static_cast<size_t>(n));
  }
  /// The channels in natural order: lane l of v[j] holds those from 16 l + 4 j on.
  static void to_natural(const Float (&v)[4], Float (&natural)[4]) {
    natural[0] = _mm256_permute2f128_ps(v[0], v[1], 0x20);
    natural[1] = _mm256_permute2f128_ps(v[2], v[3], 0x20);
    natural[2] = _mm256_permute2f128_ps(v[0], v[1], 0x31);
    natural[3] = _mm256_permute2f128_ps(v[2], v[3], 0x31);
  }
  /// n of the 16 channels from 16 * lane on.
  template <int lane>
  static void store_floats(float* out, const Float (&natural)[4], int64_t n) {
    _mm256_maskstore_ps(out, first_8(n), natural[2 * lane]);
    if (n > 8) _mm256_maskstore_ps(out + 8, first_8(n - 8), natural[2 * lane + 1]);
  }
};

}  // namespace
}  // namespace octet
