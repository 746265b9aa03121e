#pragma once
// exp(x) of src/tensor/activation.h on 8 values. Included by ISA files only: all of it is in an unnamed namespace, so
// that each file has its own copy with its own flags.

#include <immintrin.h>

namespace octet {
namespace {

inline __m256 splat(float v) { return _mm256_set1_ps(v); }

// max(c, x) and min(c, x) return x when x is NaN or equal to c, as std::max(x, c) and std::min(x, c) do.
inline __m256 at_least(__m256 x, float c) { return _mm256_max_ps(splat(c), x); }
inline __m256 at_most(__m256 x, float c) { return _mm256_min_ps(splat(c), x); }

inline __m256 exp_f32(__m256 x) {
  x = at_most(at_least(x, -87.0f), 88.0f);
  const __m256 n =
      _mm256_round_ps(_mm256_mul_ps(x, splat(0x1.715476p+0f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m256 r = _mm256_fmadd_ps(n, splat(-0x1.62e400p-1f), x);
  r = _mm256_fmadd_ps(n, splat(-0x1.7f7d1cp-20f), r);
  __m256 p = splat(0x1.a0d2cep-13f);
  p = _mm256_fmadd_ps(p, r, splat(0x1.6e879cp-10f));
  p = _mm256_fmadd_ps(p, r, splat(0x1.111210p-7f));
  p = _mm256_fmadd_ps(p, r, splat(0x1.555382p-5f));
  p = _mm256_fmadd_ps(p, r, splat(0x1.555554p-3f));
  p = _mm256_fmadd_ps(p, r, splat(0x1.000000p-1f));
  const __m256 y = _mm256_add_ps(_mm256_fmadd_ps(p, _mm256_mul_ps(r, r), r), splat(1.0f));
  const __m256i exponent = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(y), exponent));
}

}  // namespace
}  // namespace octet
