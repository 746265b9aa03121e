// AVX2: 32 codes or 8 floats a step; the last codes pass through a full-width copy, the last floats are masked.

#include "kernels/elementwise/elementwise_isa.h"
#include "kernels/requantize_avx2.h"

namespace octet {
namespace {

/// y[i .. i + 32) = step(a + i, b + i) for all of n codes, the rest of the last step being zeros.
template <class Step>
inline void for_each_32(const uint8_t* a, const uint8_t* b, size_t n, uint8_t* y, Step step) {
  size_t i = 0;
  for (; i + 32 <= n; i += 32) store_codes(y + i, step(load_codes(a + i), load_codes(b + i)));
  if (i == n) return;
  uint8_t last_a[32] = {}, last_b[32] = {}, last_y[32];
  __builtin_memcpy(last_a, a + i, n - i);
  __builtin_memcpy(last_b, b + i, n - i);
  store_codes(last_y, step(load_codes(last_a), load_codes(last_b)));
  __builtin_memcpy(y + i, last_y, n - i);
}

void add_u8(const uint8_t* a, const uint8_t* b, size_t n, const AddU8Params& p, uint8_t* y) {
  const CodeRange256 range(p.y_zero_point, p.lo, p.hi);
  const __m256 a_bias = Centred256::bias(p.a_zero_point), b_bias = Centred256::bias(p.b_zero_point);
  const __m256 a_multiplier = _mm256_set1_ps(p.a_multiplier), b_multiplier = _mm256_set1_ps(p.b_multiplier);
  for_each_32(a, b, n, y, [&](__m256i va, __m256i vb) {
    const Centred256 ca(va, a_bias), cb(vb, b_bias);
    __m256i q[4];
    for (int j = 0; j < 4; ++j)
      q[j] = range.round(_mm256_fmadd_ps(ca.v[j], a_multiplier, _mm256_mul_ps(cb.v[j], b_multiplier)));
    return range.pack(q[0], q[1], q[2], q[3]);
  });
}

void add_constant_u8(const uint8_t* a, const float* b, size_t n, const AddU8Params& p, uint8_t* y) {
  const CodeRange256 range(p.y_zero_point, p.lo, p.hi);
  const __m256i zero_point = _mm256_set1_epi32(p.a_zero_point);
  const __m256 multiplier = _mm256_set1_ps(p.a_multiplier);
  const auto step = [&](const uint8_t* codes, const float* constant) {
    __m256i q[4];
    for (int j = 0; j < 4; ++j) {
      const __m256i wide = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(codes + 8 * j)));
      const __m256 centred = _mm256_cvtepi32_ps(_mm256_sub_epi32(wide, zero_point));
      q[j] = range.round(_mm256_fmadd_ps(centred, multiplier, _mm256_loadu_ps(constant + 8 * j)));
    }
    return natural_order(range.pack(q[0], q[1], q[2], q[3]));
  };
  size_t i = 0;
  for (; i + 32 <= n; i += 32) store_codes(y + i, step(a + i, b + i));
  if (i == n) return;
  uint8_t last_a[32] = {}, last_y[32];
  float last_b[32] = {};
  __builtin_memcpy(last_a, a + i, n - i);
  __builtin_memcpy(last_b, b + i, 4 * (n - i));
  store_codes(last_y, step(last_a, last_b));
  __builtin_memcpy(y + i, last_y, n - i);
}

/// The product of two centred codes is below 2^16 and so exact in f32.
void mul_u8(const uint8_t* a, const uint8_t* b, size_t n, const MulU8Params& p, uint8_t* y) {
  const CodeRange256 range(p.y_zero_point, p.lo, p.hi);
  const __m256 a_bias = Centred256::bias(p.a_zero_point), b_bias = Centred256::bias(p.b_zero_point);
  const __m256 multiplier = _mm256_set1_ps(p.multiplier);
  for_each_32(a, b, n, y, [&](__m256i va, __m256i vb) {
    const Centred256 ca(va, a_bias), cb(vb, b_bias);
    __m256i q[4];
    for (int j = 0; j < 4; ++j) q[j] = range.round(_mm256_mul_ps(_mm256_mul_ps(ca.v[j], cb.v[j]), multiplier));
    return range.pack(q[0], q[1], q[2], q[3]);
  });
}

/// Byte loads: sixteen vpshufb and their masks for 256 entries would take as long.
void lookup_u8(const uint8_t* x, size_t n, const uint8_t* table, uint8_t* y) {
  for (size_t i = 0; i < n; ++i) y[i] = table[x[i]];
}

template <class Step>
inline void for_each_8(const float* a, const float* b, size_t n, float* y, Step step) {
  size_t i = 0;
  for (; i + 8 <= n; i += 8) _mm256_storeu_ps(y + i, step(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i)));
  const __m256i mask = first_8(static_cast<int64_t>(n - i));
  if (i < n) _mm256_maskstore_ps(y + i, mask, step(_mm256_maskload_ps(a + i, mask), _mm256_maskload_ps(b + i, mask)));
}

void add_f32(const float* a, const float* b, size_t n, float* y) {
  for_each_8(a, b, n, y, [](__m256 va, __m256 vb) { return _mm256_add_ps(va, vb); });
}

void mul_f32(const float* a, const float* b, size_t n, float* y) {
  for_each_8(a, b, n, y, [](__m256 va, __m256 vb) { return _mm256_mul_ps(va, vb); });
}

void prelu_f32(const float* a, const float* b, size_t n, float* y) {
  for_each_8(a, b, n, y, [](__m256 va, __m256 vb) {
    return _mm256_blendv_ps(va, _mm256_mul_ps(va, vb), _mm256_cmp_ps(va, _mm256_setzero_ps(), _CMP_LT_OQ));
  });
}

template <int rows>
void mix_rows(const float* const* x, const float* w, size_t n, float* y) {
  const auto step = [&](auto load) {
    __m256 sum = _mm256_mul_ps(load(x[0]), _mm256_broadcast_ss(w));
#pragma GCC unroll 4
    for (int r = 1; r < rows; ++r) sum = _mm256_add_ps(sum, _mm256_mul_ps(load(x[r]), _mm256_broadcast_ss(w + r)));
    return sum;
  };
  size_t i = 0;
  for (; i + 8 <= n; i += 8) _mm256_storeu_ps(y + i, step([i](const float* row) { return _mm256_loadu_ps(row + i); }));
  if (i == n) return;
  const __m256i mask = first_8(static_cast<int64_t>(n - i));
  _mm256_maskstore_ps(y + i, mask, step([=](const float* row) { return _mm256_maskload_ps(row + i, mask); }));
}

void mix_f32(const float* const* x, const float* w, int rows, size_t n, float* y) {
  return rows == 2 ? mix_rows<2>(x, w, n, y) : mix_rows<4>(x, w, n, y);
}

void quantize_f32(const float* x, size_t n, float scale, int32_t zero_point, int32_t lo, int32_t hi, uint8_t* q) {
  const CodeRange256 range(zero_point, lo, hi);
  const __m256 divisor = _mm256_set1_ps(scale);
  const auto step = [&](const float* from) {
    __m256i r[4];
    for (int j = 0; j < 4; ++j) r[j] = range.round_nan(_mm256_div_ps(_mm256_loadu_ps(from + 8 * j), divisor));
    return natural_order(range.pack(r[0], r[1], r[2], r[3]));
  };
  size_t i = 0;
  for (; i + 32 <= n; i += 32) store_codes(q + i, step(x + i));
  if (i == n) return;
  float last_x[32] = {};
  uint8_t last_q[32];
  __builtin_memcpy(last_x, x + i, (n - i) * sizeof(float));
  store_codes(last_q, step(last_x));
  __builtin_memcpy(q + i, last_q, n - i);
}

void dequantize_u8(const uint8_t* q, size_t n, float scale, int32_t zero_point, float* y) {
  const __m256i zp = _mm256_set1_epi32(zero_point);
  const __m256 multiplier = _mm256_set1_ps(scale);
  const auto step = [&](const uint8_t* from) {
    const __m256i codes = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
    return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(codes, zp)), multiplier);
  };
  size_t i = 0;
  for (; i + 8 <= n; i += 8) _mm256_storeu_ps(y + i, step(q + i));
  if (i == n) return;
  uint8_t last[8] = {};
  __builtin_memcpy(last, q + i, n - i);
  _mm256_maskstore_ps(y + i, first_8(static_cast<int64_t>(n - i)), step(last));
}

}  // namespace

const ElementwiseKernels elementwise_avx2 = {add_u8,    add_constant_u8, mul_u8,       lookup_u8,     add_f32, mul_f32,
                                             prelu_f32, mix_f32,         quantize_f32, dequantize_u8, "avx2"};

}  // namespace octet
