// AVX-512: 16 values, their sums in two vectors of 8 doubles.
#include "kernels/exp_avx512.h"
#include "kernels/normalize/gelu_constants.h"
#include "kernels/normalize/normalize_isa.h"
#include "kernels/requantize_avx512.h"

namespace octet {
namespace {

__m512d low_half(__m512 x) { return _mm512_cvtps_pd(_mm512_castps512_ps256(x)); }
__m512d high_half(__m512 x) { return _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1)); }

/// Lanes 8, 4, 2, 1 apart.
double total(__m512d low, __m512d high) {
  const __m512d eight = _mm512_add_pd(low, high);
  const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(eight), _mm512_extractf64x4_pd(eight, 1));
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

float max_of(const float* x, size_t n) {
  const __m512 first = splat(x[0]);
  __m512 max = first;
  for (size_t i = 0; i < n; i += 16) {
    const __mmask16 mask = first_16(static_cast<int64_t>(n - i));
    max = _mm512_max_ps(_mm512_mask_loadu_ps(first, mask, x + i), max);  // max where x is NaN
  }
  return _mm512_reduce_max_ps(max);
}

void softmax(float* x, size_t n) {
  const __m512 max = splat(max_of(x, n)), lowest = splat(-87.0f);
  __m512d low = _mm512_setzero_pd(), high = low;
  for (size_t i = 0; i < n; i += 16) {
    const __mmask16 mask = first_16(static_cast<int64_t>(n - i));
    const __m512 d = _mm512_sub_ps(_mm512_maskz_loadu_ps(mask, x + i), max);
    const __mmask16 kept = mask & _mm512_cmp_ps_mask(d, lowest, _CMP_NLT_UQ);
    const __m512 e = _mm512_maskz_mov_ps(kept, exp_f32(d));
    _mm512_mask_storeu_ps(x + i, mask, e);
    low = _mm512_add_pd(low, low_half(e)), high = _mm512_add_pd(high, high_half(e));
  }
  const __m512 inverse = splat(static_cast<float>(1.0 / total(low, high)));
  for (size_t i = 0; i < n; i += 16) {
    const __mmask16 mask = first_16(static_cast<int64_t>(n - i));
    _mm512_mask_storeu_ps(x + i, mask, _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x + i), inverse));
  }
}

void layer(float* x, size_t n, double epsilon, const float* scale, const float* bias) {
  __m512d low = _mm512_setzero_pd(), high = low;
  for (size_t i = 0; i < n; i += 16) {
    const __m512 v = _mm512_maskz_loadu_ps(first_16(static_cast<int64_t>(n - i)), x + i);
    low = _mm512_add_pd(low, low_half(v)), high = _mm512_add_pd(high, high_half(v));
  }
  const __m512d mean = _mm512_set1_pd(total(low, high) / static_cast<double>(n));
  low = high = _mm512_setzero_pd();
  for (size_t i = 0; i < n; i += 16) {
    const __mmask16 mask = first_16(static_cast<int64_t>(n - i));
    const __m512 v = _mm512_maskz_loadu_ps(mask, x + i);
    const __m512d l = _mm512_sub_pd(low_half(v), mean), h = _mm512_sub_pd(high_half(v), mean);
    low = _mm512_mask3_fmadd_pd(l, l, low, static_cast<__mmask8>(mask));
    high = _mm512_mask3_fmadd_pd(h, h, high, static_cast<__mmask8>(mask >> 8));
  }
  const double variance = total(low, high) / static_cast<double>(n);
  const __m512d inverse = _mm512_set1_pd(1.0 / _mm_cvtsd_f64(_mm_sqrt_pd(_mm_set1_pd(variance + epsilon))));
  for (size_t i = 0; i < n; i += 16) {
    const __mmask16 mask = first_16(static_cast<int64_t>(n - i));
    const __m512 v = _mm512_maskz_loadu_ps(mask, x + i);
    const __m256 l = _mm512_cvtpd_ps(_mm512_mul_pd(_mm512_sub_pd(low_half(v), mean), inverse));
    const __m256 h = _mm512_cvtpd_ps(_mm512_mul_pd(_mm512_sub_pd(high_half(v), mean), inverse));
    const __m512 y = _mm512_insertf32x8(_mm512_castps256_ps512(l), h, 1);
    const __m512 scaled = _mm512_mul_ps(y, _mm512_maskz_loadu_ps(mask, scale + i));
    _mm512_mask_storeu_ps(x + i, mask, _mm512_add_ps(scaled, _mm512_maskz_loadu_ps(mask, bias + i)));
  }
}

__m512 gelu_of(__m512 x) {
  const __m512 one = splat(1.0f);
  const __m512 t = _mm512_div_ps(one, _mm512_fmadd_ps(_mm512_abs_ps(x), splat(k_half_inverse_sqrt_2), one));
  __m512 p = splat(k_gelu_p[0]);
  for (int i = 1; i < 10; ++i) p = _mm512_fmadd_ps(p, t, splat(k_gelu_p[i]));
  const __m512 square = _mm512_mul_ps(_mm512_mul_ps(x, x), splat(0.5f));
  const __m512 e = _mm512_mul_ps(t, exp_f32(_mm512_sub_ps(p, square)));
  const __mmask16 positive = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GT_OQ);
  return _mm512_mul_ps(_mm512_mul_ps(splat(0.5f), x), _mm512_mask_sub_ps(e, positive, splat(2.0f), e));
}

void gelu(float* x, size_t n) {
  for (size_t i = 0; i < n; i += 16) {
    const __mmask16 mask = first_16(static_cast<int64_t>(n - i));
    _mm512_mask_storeu_ps(x + i, mask, gelu_of(_mm512_maskz_loadu_ps(mask, x + i)));
  }
}

}  // namespace

const NormalizeKernels normalize_avx512_vnni = {softmax, layer, gelu, "avx512_vnni"};

}  // namespace octet
