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

/// Rows at a time: what one row waits for (sums, a division) others fill.
constexpr size_t k_rows = 4;

template <size_t R>
void softmax_rows(float* x, size_t n, ptrdiff_t step) {
  __m512 first[R], max[R];
#pragma GCC unroll 4
  for (size_t r = 0; r < R; ++r) first[r] = max[r] = splat(x[static_cast<ptrdiff_t>(r) * step]);
  for (size_t i = 0; i < n; i += 16) {
    const __mmask16 mask = first_16(static_cast<int64_t>(n - i));
#pragma GCC unroll 4
    for (size_t r = 0; r < R; ++r) {
      const float* const row = x + static_cast<ptrdiff_t>(r) * step + i;
      max[r] = _mm512_max_ps(_mm512_mask_loadu_ps(first[r], mask, row), max[r]);  // max where x is NaN
    }
  }
  __m512d low[R], high[R];
#pragma GCC unroll 4
  for (size_t r = 0; r < R; ++r) {
    max[r] = splat(_mm512_reduce_max_ps(max[r]));
    low[r] = high[r] = _mm512_setzero_pd();
  }
  const __m512 lowest = splat(-87.0f);
  for (size_t i = 0; i < n; i += 16) {
    const __mmask16 mask = first_16(static_cast<int64_t>(n - i));
#pragma GCC unroll 4
    for (size_t r = 0; r < R; ++r) {
      float* const row = x + static_cast<ptrdiff_t>(r) * step + i;
      const __m512 d = _mm512_sub_ps(_mm512_maskz_loadu_ps(mask, row), max[r]);
      const __mmask16 kept = mask & _mm512_cmp_ps_mask(d, lowest, _CMP_NLT_UQ);
      const __m512 e = _mm512_maskz_mov_ps(kept, exp_f32(d));
      _mm512_mask_storeu_ps(row, mask, e);
      low[r] = _mm512_add_pd(low[r], low_half(e)), high[r] = _mm512_add_pd(high[r], high_half(e));
    }
  }
  __m512 inverse[R];
#pragma GCC unroll 4
  for (size_t r = 0; r < R; ++r) inverse[r] = splat(static_cast<float>(1.0 / total(low[r], high[r])));
  for (size_t i = 0; i < n; i += 16) {
    const __mmask16 mask = first_16(static_cast<int64_t>(n - i));
#pragma GCC unroll 4
    for (size_t r = 0; r < R; ++r) {
      float* const row = x + static_cast<ptrdiff_t>(r) * step + i;
      _mm512_mask_storeu_ps(row, mask, _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, row), inverse[r]));
    }
  }
}

void softmax(float* x, size_t rows, size_t n, ptrdiff_t step) {
  for (; rows >= k_rows; rows -= k_rows, x += k_rows * step) softmax_rows<k_rows>(x, n, step);
  for (; rows > 0; --rows, x += step) softmax_rows<1>(x, n, step);
}

template <size_t R>
void layer_rows(float* x, size_t n, ptrdiff_t step, double epsilon, const float* scale, const float* bias) {
  __m512d low[R], high[R], mean[R], inverse[R];
#pragma GCC unroll 4
  for (size_t r = 0; r < R; ++r) low[r] = high[r] = _mm512_setzero_pd();
  for (size_t i = 0; i < n; i += 16) {
    const __mmask16 mask = first_16(static_cast<int64_t>(n - i));
#pragma GCC unroll 4
    for (size_t r = 0; r < R; ++r) {
      const __m512 v = _mm512_maskz_loadu_ps(mask, x + static_cast<ptrdiff_t>(r) * step + i);
      low[r] = _mm512_add_pd(low[r], low_half(v)), high[r] = _mm512_add_pd(high[r], high_half(v));
    }
  }
#pragma GCC unroll 4
  for (size_t r = 0; r < R; ++r) {
    mean[r] = _mm512_set1_pd(total(low[r], high[r]) / static_cast<double>(n));
    low[r] = high[r] = _mm512_setzero_pd();
  }
  for (size_t i = 0; i < n; i += 16) {
    const __mmask16 mask = first_16(static_cast<int64_t>(n - i));
#pragma GCC unroll 4
    for (size_t r = 0; r < R; ++r) {
      const __m512 v = _mm512_maskz_loadu_ps(mask, x + static_cast<ptrdiff_t>(r) * step + i);
      const __m512d l = _mm512_sub_pd(low_half(v), mean[r]), h = _mm512_sub_pd(high_half(v), mean[r]);
      low[r] = _mm512_mask3_fmadd_pd(l, l, low[r], static_cast<__mmask8>(mask));
      high[r] = _mm512_mask3_fmadd_pd(h, h, high[r], static_cast<__mmask8>(mask >> 8));
    }
  }
#pragma GCC unroll 4
  for (size_t r = 0; r < R; ++r) {
    const double variance = total(low[r], high[r]) / static_cast<double>(n);
    inverse[r] = _mm512_set1_pd(1.0 / _mm_cvtsd_f64(_mm_sqrt_pd(_mm_set1_pd(variance + epsilon))));
  }
  for (size_t i = 0; i < n; i += 16) {
    const __mmask16 mask = first_16(static_cast<int64_t>(n - i));
    const __m512 factor = _mm512_maskz_loadu_ps(mask, scale + i), shift = _mm512_maskz_loadu_ps(mask, bias + i);
#pragma GCC unroll 4
    for (size_t r = 0; r < R; ++r) {
      float* const row = x + static_cast<ptrdiff_t>(r) * step + i;
      const __m512 v = _mm512_maskz_loadu_ps(mask, row);
      const __m256 l = _mm512_cvtpd_ps(_mm512_mul_pd(_mm512_sub_pd(low_half(v), mean[r]), inverse[r]));
      const __m256 h = _mm512_cvtpd_ps(_mm512_mul_pd(_mm512_sub_pd(high_half(v), mean[r]), inverse[r]));
      const __m512 y = _mm512_insertf32x8(_mm512_castps256_ps512(l), h, 1);
      _mm512_mask_storeu_ps(row, mask, _mm512_add_ps(_mm512_mul_ps(y, factor), shift));
    }
  }
}

void layer(float* x, size_t rows, size_t n, ptrdiff_t step, double epsilon, const float* scale, const float* bias) {
  for (; rows >= k_rows; rows -= k_rows, x += k_rows * step) layer_rows<k_rows>(x, n, step, epsilon, scale, bias);
  for (; rows > 0; --rows, x += step) layer_rows<1>(x, n, step, epsilon, scale, bias);
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
