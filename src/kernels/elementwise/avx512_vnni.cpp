// AVX-512: 64 codes or 16 floats a step, the last step masked.

#include "kernels/elementwise/elementwise_isa.h"
#include "kernels/lookup_avx512.h"
#include "kernels/requantize_avx512.h"

namespace octet {
namespace {

/// No sum leaves int32 when it is rounded.
bool is_below_2_30(const AddU8Params& p) {
  const auto most = [](float m) { return 255.0f * __builtin_fabsf(m); };
  return most(p.a_multiplier) + most(p.b_multiplier) < 0x1p30f;
}

/// And packs clamp it from above.
bool is_clamped_by_packs(const AddU8Params& p) { return p.hi == 255 && is_below_2_30(p); }

template <bool is_clamped>
inline __m512i round_sum(const CodeRange512& range, __m512 v) {
  return is_clamped ? _mm512_cvtps_epi32(v) : range.round(v);
}

/// 64 codes in the mantissas of floats: vector j has byte j of each dword, as 2^23 + code or, where it lies 8 bits up,
/// as 2^15 + code. One logical instruction each, beside one shift, where unpacking takes six that want the same two
/// pipes.
struct Mantissas512 {
  __m512 v[4];
  explicit Mantissas512(__m512i codes) {
    const __m512i low_byte = _mm512_set1_epi32(0xff), high_byte = _mm512_set1_epi32(0xff00);
    const __m512i low_one = _mm512_set1_epi32(0x4b000000), high_one = _mm512_set1_epi32(0x47000000);
    const __m512i upper = _mm512_srli_epi32(codes, 16);
    constexpr int k_and_or = 0xea;  // a & b | c
    v[0] = _mm512_castsi512_ps(_mm512_ternarylogic_epi32(codes, low_byte, low_one, k_and_or));
    v[1] = _mm512_castsi512_ps(_mm512_ternarylogic_epi32(codes, high_byte, high_one, k_and_or));
    v[2] = _mm512_castsi512_ps(_mm512_ternarylogic_epi32(upper, low_byte, low_one, k_and_or));
    v[3] = _mm512_castsi512_ps(_mm512_ternarylogic_epi32(upper, high_byte, high_one, k_and_or));
  }
  static constexpr float k_one[2] = {0x1p23f, 0x1p15f};  // what vectors 0 and 2, and 1 and 3, count from
};

/// The packs leave vector j in dword j of each 128 bits.
inline __m512i by_byte(__m512i packed) {
  return _mm512_shuffle_epi8(
      packed, _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)));
}

/// Sums below 2^30. from_zero: b's zero point is 0; then code * multiplier
/// is rounded once by an fma that takes away a power of two times the multiplier, which is a float.
template <bool from_zero>
void add_small(const uint8_t* a, const uint8_t* b, size_t n, const AddU8Params& p, uint8_t* y) {
  const __m512i zero_point = _mm512_set1_epi16(static_cast<int16_t>(p.y_zero_point));
  const __m512i lo = _mm512_set1_epi8(static_cast<char>(p.lo)), hi = _mm512_set1_epi8(static_cast<char>(p.hi));
  const __m512 a_multiplier = _mm512_set1_ps(p.a_multiplier), b_multiplier = _mm512_set1_ps(p.b_multiplier);
  __m512 a_centre[2], b_centre[2];
  for (int j = 0; j < 2; ++j) {
    const float one = Mantissas512::k_one[j];
    a_centre[j] = _mm512_set1_ps(one + static_cast<float>(p.a_zero_point));
    b_centre[j] = _mm512_set1_ps(from_zero ? one * p.b_multiplier : one + static_cast<float>(p.b_zero_point));
  }
  for (size_t i = 0; i < n; i += 64) {
    const __mmask64 mask = first_64(static_cast<int64_t>(n - i));
    const Mantissas512 ca(_mm512_maskz_loadu_epi8(mask, a + i)), cb(_mm512_maskz_loadu_epi8(mask, b + i));
    __m512i q[4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const __m512 second = from_zero ? _mm512_fmsub_ps(cb.v[j], b_multiplier, b_centre[j % 2])
                                      : _mm512_mul_ps(_mm512_sub_ps(cb.v[j], b_centre[j % 2]), b_multiplier);
      q[j] = _mm512_cvtps_epi32(_mm512_fmadd_ps(_mm512_sub_ps(ca.v[j], a_centre[j % 2]), a_multiplier, second));
    }
    const __m512i low = _mm512_adds_epi16(_mm512_packs_epi32(q[0], q[1]), zero_point);
    const __m512i high = _mm512_adds_epi16(_mm512_packs_epi32(q[2], q[3]), zero_point);
    const __m512i codes = _mm512_min_epu8(_mm512_max_epu8(_mm512_packus_epi16(low, high), lo), hi);
    _mm512_mask_storeu_epi8(y + i, mask, by_byte(codes));
  }
}

/// Any sums: clamped from above before they are rounded.
void add_large(const uint8_t* a, const uint8_t* b, size_t n, const AddU8Params& p, uint8_t* y) {
  const CodeRange512 range(p.y_zero_point, p.lo, p.hi);
  const __m512 a_bias = Centred512::bias(p.a_zero_point), b_bias = Centred512::bias(p.b_zero_point);
  const __m512 a_multiplier = _mm512_set1_ps(p.a_multiplier), b_multiplier = _mm512_set1_ps(p.b_multiplier);
  for (size_t i = 0; i < n; i += 64) {
    const __mmask64 mask = first_64(static_cast<int64_t>(n - i));
    const Centred512 ca(_mm512_maskz_loadu_epi8(mask, a + i), a_bias);
    const Centred512 cb(_mm512_maskz_loadu_epi8(mask, b + i), b_bias);
    __m512i q[4];
    for (int j = 0; j < 4; ++j)
      q[j] = range.round(_mm512_fmadd_ps(ca.v[j], a_multiplier, _mm512_mul_ps(cb.v[j], b_multiplier)));
    _mm512_mask_storeu_epi8(y + i, mask, range.pack(q[0], q[1], q[2], q[3]));
  }
}

void add_u8(const uint8_t* a, const uint8_t* b, size_t n, const AddU8Params& p, uint8_t* y) {
  if (!is_below_2_30(p)) return add_large(a, b, n, p, y);
  return p.b_zero_point == 0 ? add_small<true>(a, b, n, p, y) : add_small<false>(a, b, n, p, y);
}

template <bool is_clamped>
void add_constant(const uint8_t* a, const float* b, size_t n, const AddU8Params& p, uint8_t* y) {
  const CodeRange512 range(p.y_zero_point, p.lo, p.hi);
  const __m512i zero_point = _mm512_set1_epi32(p.a_zero_point);
  const __m512 multiplier = _mm512_set1_ps(p.a_multiplier);
  size_t i = 0;
  for (; i + 64 <= n; i += 64) {
    __m512i q[4];
#pragma GCC unroll 4
    for (size_t j = 0; j < 64; j += 16) {
      const __m512i wide = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(a + i + j)));
      const __m512 centred = _mm512_cvtepi32_ps(_mm512_sub_epi32(wide, zero_point));
      q[j / 16] = round_sum<is_clamped>(range, _mm512_fmadd_ps(centred, multiplier, _mm512_loadu_ps(b + i + j)));
    }
    _mm512_storeu_si512(y + i, natural_order(range.pack(q[0], q[1], q[2], q[3])));
  }
  for (; i < n; i += 64) {
    const int64_t left = static_cast<int64_t>(n - i);
    __m512i q[4];
    for (int j = 0; j < 4; ++j) {
      const __mmask16 mask = first_16(left - 16 * j);
      const __m512i wide = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, a + i + 16 * j));
      const __m512 centred = _mm512_cvtepi32_ps(_mm512_sub_epi32(wide, zero_point));
      const __m512 second = _mm512_maskz_loadu_ps(mask, b + i + 16 * j);
      q[j] = round_sum<is_clamped>(range, _mm512_fmadd_ps(centred, multiplier, second));
    }
    _mm512_mask_storeu_epi8(y + i, first_64(left), natural_order(range.pack(q[0], q[1], q[2], q[3])));
  }
}

void add_constant_u8(const uint8_t* a, const float* b, size_t n, const AddU8Params& p, uint8_t* y) {
  return is_clamped_by_packs(p) ? add_constant<true>(a, b, n, p, y) : add_constant<false>(a, b, n, p, y);
}

/// The product of two centred codes is below 2^16 and so exact in f32.
template <bool is_clamped>
void mul_codes(const uint8_t* a, const uint8_t* b, size_t n, const MulU8Params& p, uint8_t* y) {
  const CodeRange512 range(p.y_zero_point, p.lo, p.hi);
  const __m512 a_bias = Centred512::bias(p.a_zero_point), b_bias = Centred512::bias(p.b_zero_point);
  const __m512 multiplier = _mm512_set1_ps(p.multiplier);
  for (size_t i = 0; i < n; i += 64) {
    const __mmask64 mask = first_64(static_cast<int64_t>(n - i));
    const Centred512 ca(_mm512_maskz_loadu_epi8(mask, a + i), a_bias);
    const Centred512 cb(_mm512_maskz_loadu_epi8(mask, b + i), b_bias);
    __m512i q[4];
    for (int j = 0; j < 4; ++j)
      q[j] = round_sum<is_clamped>(range, _mm512_mul_ps(_mm512_mul_ps(ca.v[j], cb.v[j]), multiplier));
    _mm512_mask_storeu_epi8(y + i, mask, range.pack(q[0], q[1], q[2], q[3]));
  }
}

void mul_u8(const uint8_t* a, const uint8_t* b, size_t n, const MulU8Params& p, uint8_t* y) {
  const bool is_clamped = p.hi == 255 && 65025.0f * __builtin_fabsf(p.multiplier) < 0x1p30f;
  return is_clamped ? mul_codes<true>(a, b, n, p, y) : mul_codes<false>(a, b, n, p, y);
}

void lookup_u8(const uint8_t* x, size_t n, const uint8_t* table, uint8_t* y) {
  const Table512 entries(table);
  for (size_t i = 0; i < n; i += 64) {
    const __mmask64 mask = first_64(static_cast<int64_t>(n - i));
    _mm512_mask_storeu_epi8(y + i, mask, entries(_mm512_maskz_loadu_epi8(mask, x + i)));
  }
}

void add_f32(const float* a, const float* b, size_t n, float* y) {
  for (size_t i = 0; i < n; i += 16) {
    const __mmask16 mask = first_16(static_cast<int64_t>(n - i));
    _mm512_mask_storeu_ps(y + i, mask,
                          _mm512_add_ps(_mm512_maskz_loadu_ps(mask, a + i), _mm512_maskz_loadu_ps(mask, b + i)));
  }
}

void mul_f32(const float* a, const float* b, size_t n, float* y) {
  for (size_t i = 0; i < n; i += 16) {
    const __mmask16 mask = first_16(static_cast<int64_t>(n - i));
    _mm512_mask_storeu_ps(y + i, mask,
                          _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, a + i), _mm512_maskz_loadu_ps(mask, b + i)));
  }
}

void prelu_f32(const float* a, const float* b, size_t n, float* y) {
  for (size_t i = 0; i < n; i += 16) {
    const __mmask16 mask = first_16(static_cast<int64_t>(n - i));
    const __m512 va = _mm512_maskz_loadu_ps(mask, a + i), vb = _mm512_maskz_loadu_ps(mask, b + i);
    const __mmask16 is_negative = _mm512_cmp_ps_mask(va, _mm512_setzero_ps(), _CMP_LT_OQ);
    _mm512_mask_storeu_ps(y + i, mask, _mm512_mask_mul_ps(va, is_negative, va, vb));
  }
}

template <int rows>
void mix_rows(const float* const* x, const float* w, size_t n, float* y) {
  for (size_t i = 0; i < n; i += 16) {
    const __mmask16 mask = first_16(static_cast<int64_t>(n - i));
    __m512 sum = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x[0] + i), _mm512_set1_ps(w[0]));
#pragma GCC unroll 4
    for (int r = 1; r < rows; ++r)
      sum = _mm512_add_ps(sum, _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x[r] + i), _mm512_set1_ps(w[r])));
    _mm512_mask_storeu_ps(y + i, mask, sum);
  }
}

void mix_f32(const float* const* x, const float* w, int rows, size_t n, float* y) {
  return rows == 2 ? mix_rows<2>(x, w, n, y) : mix_rows<4>(x, w, n, y);
}

void quantize_f32(const float* x, size_t n, float scale, int32_t zero_point, int32_t lo, int32_t hi, uint8_t* q) {
  const CodeRange512 range(zero_point, lo, hi);
  const Quotient512 quotient(scale);
  for (size_t i = 0; i < n; i += 64) {
    const int64_t left = static_cast<int64_t>(n - i);
    __m512i r[4];
    for (int j = 0; j < 4; ++j)
      r[j] = range.round_nan(quotient(_mm512_maskz_loadu_ps(first_16(left - 16 * j), x + i + 16 * j)));
    _mm512_mask_storeu_epi8(q + i, first_64(left), natural_order(range.pack(r[0], r[1], r[2], r[3])));
  }
}

void dequantize_u8(const uint8_t* q, size_t n, float scale, int32_t zero_point, float* y) {
  const __m512i zp = _mm512_set1_epi32(zero_point);
  const __m512 multiplier = _mm512_set1_ps(scale);
  for (size_t i = 0; i < n; i += 16) {
    const __mmask16 mask = first_16(static_cast<int64_t>(n - i));
    const __m512i codes = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, q + i));
    _mm512_mask_storeu_ps(y + i, mask, _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(codes, zp)), multiplier));
  }
}

}  // namespace

const ElementwiseKernels elementwise_avx512_vnni = {add_u8,       add_constant_u8, mul_u8,       lookup_u8,
                                                    add_f32,      mul_f32,         prelu_f32,    mix_f32,
                                                    quantize_f32, dequantize_u8,   "avx512_vnni"};

}  // namespace octet
