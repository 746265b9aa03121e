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

double total(__m512 lanes) { return total(low_half(lanes), high_half(lanes)); }

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
  __m512 part[R];
#pragma GCC unroll 4
  for (size_t r = 0; r < R; ++r) {
    max[r] = splat(_mm512_reduce_max_ps(max[r]));
    low[r] = high[r] = _mm512_setzero_pd();
  }
  const auto add_part = [&](size_t r) {
    low[r] = _mm512_add_pd(low[r], low_half(part[r])), high[r] = _mm512_add_pd(high[r], high_half(part[r]));
  };
  const __m512 lowest = splat(-87.0f);
  for (size_t begin = 0; begin < n; begin += 16 * k_softmax_part) {
    const size_t end = n - begin < 16 * k_softmax_part ? n : begin + 16 * k_softmax_part;
#pragma GCC unroll 4
    for (size_t r = 0; r < R; ++r) part[r] = _mm512_setzero_ps();
    for (size_t i = begin; i < end; i += 16) {
      const __mmask16 mask = first_16(static_cast<int64_t>(n - i));
#pragma GCC unroll 4
      for (size_t r = 0; r < R; ++r) {
        float* const row = x + static_cast<ptrdiff_t>(r) * step + i;
        const __m512 d = _mm512_sub_ps(_mm512_maskz_loadu_ps(mask, row), max[r]);
        const __mmask16 kept = mask & _mm512_cmp_ps_mask(d, lowest, _CMP_NLT_UQ);
        const __m512 e = _mm512_maskz_mov_ps(kept, exp_f32(d));
        _mm512_mask_storeu_ps(row, mask, e);
        part[r] = _mm512_add_ps(part[r], e);
      }
    }
#pragma GCC unroll 4
    for (size_t r = 0; r < R; ++r) add_part(r);
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
  const auto count = static_cast<double>(n);
  __m512 sums[R], squares[R], middle[R], factor[R], shift[R];
#pragma GCC unroll 4
  for (size_t r = 0; r < R; ++r) sums[r] = _mm512_setzero_ps();
  for (size_t i = 0; i < n; i += 16) {
    const __mmask16 mask = first_16(static_cast<int64_t>(n - i));
#pragma GCC unroll 4
    for (size_t r = 0; r < R; ++r)
      sums[r] = _mm512_add_ps(sums[r], _mm512_maskz_loadu_ps(mask, x + static_cast<ptrdiff_t>(r) * step + i));
  }
#pragma GCC unroll 4
  for (size_t r = 0; r < R; ++r) {
    middle[r] = splat(static_cast<float>(total(sums[r]) / count));
    sums[r] = squares[r] = _mm512_setzero_ps();
  }
  for (size_t i = 0; i < n; i += 16) {
    const __mmask16 mask = first_16(static_cast<int64_t>(n - i));
#pragma GCC unroll 4
    for (size_t r = 0; r < R; ++r) {
      const __m512 v = _mm512_maskz_loadu_ps(mask, x + static_cast<ptrdiff_t>(r) * step + i);
      const __m512 d = _mm512_maskz_sub_ps(mask, v, middle[r]);
      sums[r] = _mm512_add_ps(sums[r], d);
      squares[r] = _mm512_fmadd_ps(d, d, squares[r]);
    }
  }
  bool is_odd[R];
#pragma GCC unroll 4
  for (size_t r = 0; r < R; ++r) {
    const double all_squares = total(squares[r]), off = total(sums[r]) / count;
    const double variance = all_squares / count - off * off;
    const double root = _mm_cvtsd_f64(_mm_sqrt_pd(_mm_set1_pd((variance > 0.0 ? variance : 0.0) + epsilon)));
    const double inverse = 1.0 / root;
    is_odd[r] = !(all_squares >= k_least_squares && all_squares <= k_most_squares);
    factor[r] = splat(static_cast<float>(inverse)), shift[r] = splat(static_cast<float>(-off * inverse));
  }
  for (size_t r = 0; r < R; ++r) {
    if (!is_odd[r]) continue;
    for (size_t i = 0; i < R; ++i) {  // seldom: these rows by themselves
      float* const row = x + static_cast<ptrdiff_t>(i) * step;
      if (is_odd[i])
        layer_row_in_double(row, n, epsilon, scale, bias);
      else if constexpr (R > 1)
        layer_rows<1>(row, n, 0, epsilon, scale, bias);
    }
    return;
  }
  for (size_t i = 0; i < n; i += 16) {
    const __mmask16 mask = first_16(static_cast<int64_t>(n - i));
    const __m512 gamma = _mm512_maskz_loadu_ps(mask, scale + i), beta = _mm512_maskz_loadu_ps(mask, bias + i);
#pragma GCC unroll 4
    for (size_t r = 0; r < R; ++r) {
      float* const row = x + static_cast<ptrdiff_t>(r) * step + i;
      const __m512 d = _mm512_sub_ps(_mm512_maskz_loadu_ps(mask, row), middle[r]);
      _mm512_mask_storeu_ps(row, mask, _mm512_fmadd_ps(_mm512_fmadd_ps(d, factor[r], shift[r]), gamma, beta));
    }
  }
}

void layer(float* x, size_t rows, size_t n, ptrdiff_t step, double epsilon, const float* scale, const float* bias) {
  for (; rows >= k_rows; rows -= k_rows, x += k_rows * step) layer_rows<k_rows>(x, n, step, epsilon, scale, bias);
  for (; rows > 0; --rows, x += step) layer_rows<1>(x, n, step, epsilon, scale, bias);
}

__m512 entry_of(const float* table, __m512i index) { return _mm512_permutexvar_ps(index, _mm512_load_ps(table)); }

__m512 gelu_of(__m512 x) {
  const __m512 one = splat(1.0f), c = splat(k_gelu_c), magic = splat(k_gelu_magic);
  const __m512 z = at_most(_mm512_abs_ps(x), k_gelu_most);
  const __m512i bits = _mm512_castps_si512(_mm512_add_ps(z, one)), i = _mm512_srli_epi32(bits, 21);
  const __m512i middle =
      _mm512_ternarylogic_epi32(bits, _mm512_set1_epi32(static_cast<int>(k_gelu_interval)),
                                _mm512_set1_epi32(static_cast<int>(k_gelu_middle)), 0xEA);  // bits & interval | middle
  const __m512 u = _mm512_sub_ps(z, _mm512_sub_ps(_mm512_castsi512_ps(middle), one));
  __m512 g = entry_of(k_gelu_g[0], i);
#pragma GCC unroll 8
  for (int j = 1; j < 7; ++j) g = _mm512_fmadd_ps(g, u, entry_of(k_gelu_g[j], i));
  const __m512 s = _mm512_mul_ps(z, z), t = _mm512_fmadd_ps(s, c, magic);
  const __m512 f = _mm512_fmsub_ps(s, c, _mm512_sub_ps(t, magic));
  const __m512i k = _mm512_castps_si512(t), power = _mm512_permutexvar_epi32(k, _mm512_load_si512(k_gelu_power));
  const __m512 e = _mm512_castsi512_ps(_mm512_add_epi32(power, _mm512_slli_epi32(k, 19)));
  const __m512 a = _mm512_fmadd_ps(_mm512_fmadd_ps(splat(k_gelu_a[0]), f, splat(k_gelu_a[1])), f, splat(k_gelu_a[2]));
  return _mm512_fnmadd_ps(_mm512_mul_ps(z, g), _mm512_mul_ps(_mm512_fmadd_ps(a, f, one), e), at_least(x, 0.0f));
}

void gelu(float* x, size_t n) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) _mm512_storeu_ps(x + i, gelu_of(_mm512_loadu_ps(x + i)));
  const __mmask16 mask = first_16(static_cast<int64_t>(n - i));
  if (i < n) _mm512_mask_storeu_ps(x + i, mask, gelu_of(_mm512_maskz_loadu_ps(mask, x + i)));
}

}  // namespace

const NormalizeKernels normalize_avx512_vnni = {softmax, layer, gelu, "avx512_vnni"};

}  // namespace octet
