// AVX512-VNNI: 64 channels per block, one vpdpbusd per quad vector.

#include <immintrin.h>

#include "kernels/depthwise/depthwise_isa.h"

namespace octet {
namespace {

struct Vec {
  using Bytes = __m512i;
  using Acc = __m512i;
  using Float = __m512;
  using Quad = __m512i;
  static constexpr int k_bytes = 64;
  static constexpr int k_dot_bytes = 64;

  struct Residual {
    Residual(int32_t zero_point, float m)
        : zero_point_(_mm512_set1_epi32(zero_point)), multiplier_(_mm512_set1_ps(m)) {}
    __m512i zero_point_;
    __m512 multiplier_;
  };

  static __mmask64 first_64(int64_t n) { return n >= 64 ? ~0ull : (1ull << n) - 1; }

  static Bytes zero() { return _mm512_setzero_si512(); }
  static Bytes words(int16_t value) { return _mm512_set1_epi16(value); }
  static Bytes load(const uint8_t* p) { return _mm512_loadu_si512(p); }
  static Bytes load_halves(const uint8_t* p0, const uint8_t* p1) {
    const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p0));
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p1)), 1);
  }
  static void store(uint8_t* p, Bytes v) { _mm512_storeu_si512(p, v); }
  static Bytes unpack_lo8(Bytes a, Bytes b) { return _mm512_unpacklo_epi8(a, b); }
  static Bytes unpack_hi8(Bytes a, Bytes b) { return _mm512_unpackhi_epi8(a, b); }
  static Bytes unpack_lo16(Bytes a, Bytes b) { return _mm512_unpacklo_epi16(a, b); }
  static Bytes unpack_hi16(Bytes a, Bytes b) { return _mm512_unpackhi_epi16(a, b); }
  static Bytes bytes(int32_t value) { return _mm512_set1_epi8(static_cast<char>(value)); }
  static Bytes bit_xor(Bytes a, Bytes b) { return _mm512_xor_si512(a, b); }
  static Bytes high_u16(Bytes a, Bytes b) { return _mm512_mulhi_epu16(a, b); }
  static Bytes high_s16(Bytes a, Bytes b) { return _mm512_mulhi_epi16(a, b); }
  static Bytes adds_s16(Bytes a, Bytes b) { return _mm512_adds_epi16(a, b); }
  static Bytes pack_u8(Bytes a, Bytes b) { return _mm512_packus_epi16(a, b); }
  static Bytes clamp_u8(Bytes v, Bytes lo, Bytes hi) { return _mm512_min_epu8(_mm512_max_epu8(v, lo), hi); }
  static Quad quad(Bytes v) { return v; }
  static Acc dot(Acc acc, Quad quad, Bytes w) { return _mm512_dpbusd_epi32(acc, quad, w); }
  static Acc dot(Acc acc, Quad quad, const int8_t* w) { return dot(acc, quad, _mm512_loadu_si512(w)); }
  /// The value is in a register at this point of the program.
  static Acc pin(Acc acc) {
    __asm__ volatile("" : "+v"(acc));
    return acc;
  }
  static Acc bias(const int32_t* p) { return _mm512_loadu_si512(p); }

  static Float scale(Acc acc, Float m) { return _mm512_mul_ps(_mm512_cvtepi32_ps(acc), m); }
  static Float scale(Acc acc, const float* m) { return scale(acc, _mm512_loadu_ps(m)); }
  static Float scale_add(Acc acc, Float m, Bytes r, const Residual& residual) {
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(acc), m, shift(r, residual));
  }
  static Float scale_add(Acc acc, const float* m, Bytes r, const Residual& residual) {
    return scale_add(acc, _mm512_loadu_ps(m), r, residual);
  }

  /// The weight of position 0 of each dword.
  static Float first_tap(const int8_t* w) {
    return _mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(_mm512_loadu_si512(w), 24), 24));
  }
  static Float from_int(int32_t n) { return _mm512_set1_ps(static_cast<float>(n)); }
  static Float from_ints(const int32_t* p) { return _mm512_cvtepi32_ps(_mm512_loadu_si512(p)); }
  static Float load_floats(const float* p) { return _mm512_loadu_ps(p); }
  static Float as_float(Bytes v) { return _mm512_castsi512_ps(v); }
  static Bytes as_bytes(Float v) { return _mm512_castps_si512(v); }
  static Float fma(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }
  static Float shift(Bytes r, const Residual& residual) {
    return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(r, residual.zero_point_)), residual.multiplier_);
  }

  static Bytes pack_words(Float a, Float b) { return _mm512_packs_epi32(_mm512_cvtps_epi32(a), _mm512_cvtps_epi32(b)); }
  /// The packs clamp to 16 and 8 bits; a value beyond 16 bits is beyond [lo, hi] with any zero point, so nothing is
  /// lost.
  static Bytes codes(const Float (&v)[4], int32_t zero_point, int32_t lo, int32_t hi) {
    const __m512i zp = _mm512_set1_epi16(static_cast<int16_t>(zero_point));
    const __m512i low = pack_words(v[0], v[1]), high = pack_words(v[2], v[3]);
    const __m512i q = _mm512_packus_epi16(_mm512_adds_epi16(low, zp), _mm512_adds_epi16(high, zp));
    return _mm512_min_epu8(_mm512_max_epu8(q, _mm512_set1_epi8(static_cast<char>(lo))),
                           _mm512_set1_epi8(static_cast<char>(hi)));
  }
  static void store_codes(uint8_t* y, Bytes v, int64_t n) { _mm512_mask_storeu_epi8(y, first_64(n), v); }
  /// The first n channels of a block, and where their codes go.
  struct Channels {
    explicit Channels(int64_t n) : mask_(first_64(n)) {}
    void store(uint8_t* y, Bytes v) const { _mm512_mask_storeu_epi8(y, mask_, v); }
    /// y1: null where the second half is nobody's.
    void store_halves(uint8_t* y0, uint8_t* y1, Bytes v) const {
      _mm256_mask_storeu_epi8(y0, static_cast<__mmask32>(mask_), _mm512_castsi512_si256(v));
      if (y1) _mm256_mask_storeu_epi8(y1, static_cast<__mmask32>(mask_), _mm512_extracti64x4_epi64(v, 1));
    }
    __mmask64 mask_;
  };
  static void store_whole_half(uint8_t* y, Bytes v, int half) {
    const __m256i codes = half ? _mm512_extracti64x4_epi64(v, 1) : _mm512_castsi512_si256(v);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), codes);
  }
  static void store_half(uint8_t* y, Bytes v, int half, int64_t n) {
    const __m256i codes = half ? _mm512_extracti64x4_epi64(v, 1) : _mm512_castsi512_si256(v);
    _mm256_mask_storeu_epi8(y, static_cast<__mmask32>(first_64(n)), codes);
  }
  /// The channels in natural order: lane l of v[j] holds those from 16 l + 4 j on.
  static void to_natural(const Float (&v)[4], Float (&natural)[4]) {
    const __m512 low_01 = _mm512_shuffle_f32x4(v[0], v[1], 0x44), low_23 = _mm512_shuffle_f32x4(v[2], v[3], 0x44);
    const __m512 high_01 = _mm512_shuffle_f32x4(v[0], v[1], 0xee), high_23 = _mm512_shuffle_f32x4(v[2], v[3], 0xee);
    natural[0] = _mm512_shuffle_f32x4(low_01, low_23, 0x88);
    natural[1] = _mm512_shuffle_f32x4(low_01, low_23, 0xdd);
    natural[2] = _mm512_shuffle_f32x4(high_01, high_23, 0x88);
    natural[3] = _mm512_shuffle_f32x4(high_01, high_23, 0xdd);
  }
  /// n of the 16 channels from 16 * lane on.
  template <int lane>
  static void store_floats(float* out, const Float (&natural)[4], int64_t n) {
    _mm512_mask_storeu_ps(out, static_cast<__mmask16>(first_64(n)), natural[lane]);
  }
};

#include "kernels/depthwise/interleave.inc"
#include "kernels/depthwise/pointwise.inc"
#include "kernels/depthwise/walk.inc"

// 32 registers: 16 sums, 8 vectors of pairs, 4 of a quad. A walk of 3x3: 12 sums and 12 weights of a part, or of stride
// 2 8 sums and 12 weights of both; of 5x5 10 sums and 14 weights of a part.
constexpr DepthwiseTile k_3x3_s1 = {3, 3, 1, 1, 2, 1, 4, false, true};
constexpr DepthwiseTile k_3x3_s2 = {3, 3, 2, 1, 2, 2, 2, true, true};
constexpr DepthwiseTile k_5x5_s1 = {5, 5, 1, 1, 1, 1, 4, false, true};
constexpr DepthwiseTile k_5x5_s2 = {5, 5, 2, 1, 1, 1, 4, false, true};
constexpr DepthwiseTile k_7x7_s1 = {7, 7, 1, 2, 1, 2, 4, false};
constexpr DepthwiseTile k_7x7_s2 = {7, 7, 2, 1, 2, 2, 4, false};
constexpr DepthwiseTile k_1x1_s1 = {1, 1, 1, 4, 1, 1, 4, false};  // a scale and a shift per channel
constexpr DepthwiseU8S8Kernel k_u8s8[] = {{k_1x1_s1, run_pointwise<k_1x1_s1>},   {k_3x3_s1, run_walk<k_3x3_s1, false>},
                                          {k_3x3_s2, run_walk<k_3x3_s2, true>},  {k_5x5_s1, run_walk<k_5x5_s1, false>},
                                          {k_5x5_s2, run_walk<k_5x5_s2, false>}, {k_7x7_s1, run_u8s8<k_7x7_s1>},
                                          {k_7x7_s2, run_u8s8<k_7x7_s2>},        {k_any_window, run_u8s8_any}};

inline __attribute__((always_inline)) __m512 load_16(const float* x) { return _mm512_loadu_ps(x); }
inline __attribute__((always_inline)) void store_16(float* y, __mmask16 mask, __m512 v) {
  _mm512_mask_storeu_ps(y, mask, v);
}

#include "kernels/depthwise/float_rows.inc"

bool likes_lattices(const WindowGeometry& g) { return two_rows_of<float, float>(g) != nullptr; }

}  // namespace

const DepthwiseKernels depthwise_avx512_vnni = {{64, 4, k_u8s8, 8, "avx512_vnni"},
                                                {run_floats<float, float>, "avx512_vnni", likes_lattices}};

}  // namespace octet
