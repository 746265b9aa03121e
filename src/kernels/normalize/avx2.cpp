// AVX2: 16 values in two vectors, their sums in four vectors of 4 doubles.
#include "kernels/exp_avx2.h"
#include "kernels/normalize/gelu_constants.h"
#include "kernels/normalize/normalize_isa.h"
#include "kernels/requantize_avx2.h"

namespace octet {
namespace {

/// Elements i .. i+15 of a row; those behind its end are `fill`, and stay unwritten.
struct Block {
  __m256 v[2];
  static Block load(const float* x, size_t left, float fill = 0.0f) {
    if (left >= 16) return {{_mm256_loadu_ps(x), _mm256_loadu_ps(x + 8)}};
    Block b;
    for (size_t j = 0; j < 2; ++j) {
      const __m256i mask = first_8(static_cast<int64_t>(left) - static_cast<int64_t>(8 * j));
      b.v[j] = _mm256_blendv_ps(splat(fill), _mm256_maskload_ps(x + 8 * j, mask), _mm256_castsi256_ps(mask));
    }
    return b;
  }
  void store(float* x, size_t left) const {
    for (size_t j = 0; j < 2; ++j) {
      if (left >= 16)
        _mm256_storeu_ps(x + 8 * j, v[j]);
      else
        _mm256_maskstore_ps(x + 8 * j, first_8(static_cast<int64_t>(left) - static_cast<int64_t>(8 * j)), v[j]);
    }
  }
  __m256d quarter(int q) const {
    const __m256 half = v[q / 2];
    return _mm256_cvtps_pd(q % 2 ? _mm256_extractf128_ps(half, 1) : _mm256_castps256_ps128(half));
  }
};

struct Lanes {
  __m256d v[4] = {_mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd()};
  /// Lanes 8, 4, 2, 1 apart.
  double total() const {
    const __m256d low = _mm256_add_pd(v[0], v[2]), high = _mm256_add_pd(v[1], v[3]);
    const __m256d four = _mm256_add_pd(low, high);
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
  }
};

/// 16 lanes of floats; their total as that of Lanes.
struct FloatLanes {
  __m256 v[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
  void add_to(Lanes& sums) const {
    const Block b = {{v[0], v[1]}};
    for (int q = 0; q < 4; ++q) sums.v[q] = _mm256_add_pd(sums.v[q], b.quarter(q));
  }
  double total() const {
    Lanes sums;
    add_to(sums);
    return sums.total();
  }
};

float max_of(const float* x, size_t n) {
  __m256 max = splat(x[0]);
  for (size_t i = 0; i < n; i += 16) {
    const Block b = Block::load(x + i, n - i, x[0]);
    max = _mm256_max_ps(b.v[1], _mm256_max_ps(b.v[0], max));  // max where x is NaN
  }
  float lanes[8];
  _mm256_storeu_ps(lanes, max);
  float result = lanes[0];
  for (const float lane : lanes) result = lane > result ? lane : result;
  return result;
}

void softmax_row(float* x, size_t n) {
  const __m256 max = splat(max_of(x, n)), lowest = splat(-87.0f);
  Lanes sums;
  FloatLanes part;
  for (size_t i = 0; i < n; i += 16) {
    Block b = Block::load(x + i, n - i, -__builtin_inff());
    for (__m256& v : b.v) {
      const __m256 d = _mm256_sub_ps(v, max);
      v = _mm256_and_ps(exp_f32(d), _mm256_cmp_ps(d, lowest, _CMP_NLT_UQ));
    }
    b.store(x + i, n - i);
    if (n - i < 16) b = Block::load(x + i, n - i);  // what lies behind the end counts as 0, be max what it may
    for (int j = 0; j < 2; ++j) part.v[j] = _mm256_add_ps(part.v[j], b.v[j]);
    if (i / 16 % k_softmax_part == k_softmax_part - 1 || n - i <= 16) part.add_to(sums), part = {};
  }
  const __m256 inverse = splat(static_cast<float>(1.0 / sums.total()));
  for (size_t i = 0; i < n; i += 16) {
    Block b = Block::load(x + i, n - i);
    for (__m256& v : b.v) v = _mm256_mul_ps(v, inverse);
    b.store(x + i, n - i);
  }
}

void layer_row(float* x, size_t n, double epsilon, const float* scale, const float* bias) {
  const auto count = static_cast<double>(n);
  FloatLanes all, sums, squares;
  for (size_t i = 0; i < n; i += 16) {
    const Block b = Block::load(x + i, n - i);
    for (int j = 0; j < 2; ++j) all.v[j] = _mm256_add_ps(all.v[j], b.v[j]);
  }
  const auto middle_value = static_cast<float>(all.total() / count);
  const __m256 middle = splat(middle_value);
  for (size_t i = 0; i < n; i += 16) {
    const Block b = Block::load(x + i, n - i, middle_value);  // d = 0 behind the end
    for (int j = 0; j < 2; ++j) {
      const __m256 d = _mm256_sub_ps(b.v[j], middle);
      sums.v[j] = _mm256_add_ps(sums.v[j], d);
      squares.v[j] = _mm256_fmadd_ps(d, d, squares.v[j]);
    }
  }
  const double all_squares = squares.total(), off = sums.total() / count;
  if (!(all_squares >= k_least_squares && all_squares <= k_most_squares))
    return layer_row_in_double(x, n, epsilon, scale, bias);
  const double variance = all_squares / count - off * off;
  const double root = _mm_cvtsd_f64(_mm_sqrt_pd(_mm_set1_pd((variance > 0.0 ? variance : 0.0) + epsilon)));
  const double inverse = 1.0 / root;
  const __m256 factor = splat(static_cast<float>(inverse)), shift = splat(static_cast<float>(-off * inverse));
  for (size_t i = 0; i < n; i += 16) {
    Block b = Block::load(x + i, n - i);
    const Block gamma = Block::load(scale + i, n - i), beta = Block::load(bias + i, n - i);
    for (int j = 0; j < 2; ++j) {
      const __m256 d = _mm256_sub_ps(b.v[j], middle);
      b.v[j] = _mm256_fmadd_ps(_mm256_fmadd_ps(d, factor, shift), gamma.v[j], beta.v[j]);
    }
    b.store(x + i, n - i);
  }
}

/// Entry i mod 16 of a table; upper's sign bits are bit 3 of i.
__m256 entry_of(const float* table, __m256i i, __m256 upper) {
  return _mm256_blendv_ps(_mm256_permutevar8x32_ps(_mm256_load_ps(table), i),
                          _mm256_permutevar8x32_ps(_mm256_load_ps(table + 8), i), upper);
}

__m256 gelu_of(__m256 x) {
  const __m256 one = splat(1.0f), c = splat(k_gelu_c), magic = splat(k_gelu_magic);
  const __m256 z = at_most(_mm256_andnot_ps(splat(-0.0f), x), k_gelu_most);
  const __m256i bits = _mm256_castps_si256(_mm256_add_ps(z, one)), i = _mm256_srli_epi32(bits, 21);
  const __m256i interval = _mm256_set1_epi32(static_cast<int>(k_gelu_interval));
  const __m256i middle = _mm256_or_si256(_mm256_and_si256(bits, interval), _mm256_set1_epi32(k_gelu_middle));
  const __m256 u = _mm256_sub_ps(z, _mm256_sub_ps(_mm256_castsi256_ps(middle), one));
  const __m256 upper = _mm256_castsi256_ps(_mm256_slli_epi32(bits, 7));  // bit 24
  __m256 g = entry_of(k_gelu_g[0], i, upper);
#pragma GCC unroll 8
  for (int j = 1; j < 7; ++j) g = _mm256_fmadd_ps(g, u, entry_of(k_gelu_g[j], i, upper));
  const __m256 s = _mm256_mul_ps(z, z), t = _mm256_fmadd_ps(s, c, magic);
  const __m256 f = _mm256_fmsub_ps(s, c, _mm256_sub_ps(t, magic));
  const __m256i k = _mm256_castps_si256(t);
  const __m256 power =
      entry_of(reinterpret_cast<const float*>(k_gelu_power), k, _mm256_castsi256_ps(_mm256_slli_epi32(k, 28)));
  const __m256 e = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(power), _mm256_slli_epi32(k, 19)));
  const __m256 a = _mm256_fmadd_ps(_mm256_fmadd_ps(splat(k_gelu_a[0]), f, splat(k_gelu_a[1])), f, splat(k_gelu_a[2]));
  return _mm256_fnmadd_ps(_mm256_mul_ps(z, g), _mm256_mul_ps(_mm256_fmadd_ps(a, f, one), e), at_least(x, 0.0f));
}

void gelu(float* x, size_t n) {
  size_t i = 0;
  for (; i + 8 <= n; i += 8) _mm256_storeu_ps(x + i, gelu_of(_mm256_loadu_ps(x + i)));
  if (i == n) return;
  const __m256i mask = first_8(static_cast<int64_t>(n - i));
  _mm256_maskstore_ps(x + i, mask, gelu_of(_mm256_maskload_ps(x + i, mask)));
}

void softmax(float* x, size_t rows, size_t n, ptrdiff_t step) {
  for (size_t r = 0; r < rows; ++r, x += step) softmax_row(x, n);
}

void layer(float* x, size_t rows, size_t n, ptrdiff_t step, double epsilon, const float* scale, const float* bias) {
  for (size_t r = 0; r < rows; ++r, x += step) layer_row(x, n, epsilon, scale, bias);
}

}  // namespace

const NormalizeKernels normalize_avx2 = {softmax, layer, gelu, "avx2"};

}  // namespace octet
