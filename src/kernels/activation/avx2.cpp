// AVX2: src/tensor/activation.h, operation by operation, on 8 values.

#include "kernels/activation/activation_isa.h"
#include "kernels/exp_avx2.h"
#include "kernels/requantize_avx2.h"

namespace octet {
namespace {

__m256 negate(__m256 x) { return _mm256_xor_ps(x, splat(-0.0f)); }
__m256 one_plus_exp_of_minus(__m256 x) { return _mm256_add_ps(splat(1.0f), exp_f32(negate(x))); }
__m256 hard_sigmoid(__m256 x, float alpha, float beta) {
  return at_most(at_least(_mm256_fmadd_ps(x, splat(alpha), splat(beta)), 0.0f), 1.0f);
}

template <ActivationKind kind>
__m256 apply(__m256 x, float p0, float p1) {
  if constexpr (kind == ActivationKind::relu) return at_least(x, 0.0f);
  if constexpr (kind == ActivationKind::clip) return at_most(at_least(x, p0), p1);
  if constexpr (kind == ActivationKind::leaky_relu)
    return _mm256_blendv_ps(x, _mm256_mul_ps(x, splat(p0)), _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_LT_OQ));
  if constexpr (kind == ActivationKind::sigmoid) return _mm256_div_ps(splat(1.0f), one_plus_exp_of_minus(x));
  if constexpr (kind == ActivationKind::hard_sigmoid) return hard_sigmoid(x, p0, p1);
  if constexpr (kind == ActivationKind::hard_swish) return _mm256_mul_ps(x, hard_sigmoid(x, 1.0f / 6.0f, 0.5f));
  if constexpr (kind == ActivationKind::silu) return _mm256_div_ps(x, one_plus_exp_of_minus(x));
  if constexpr (kind == ActivationKind::tanh_) {
    const __m256 bottom = _mm256_add_ps(exp_f32(_mm256_add_ps(x, x)), splat(1.0f));
    return _mm256_sub_ps(splat(1.0f), _mm256_div_ps(splat(2.0f), bottom));
  }
  return x;
}

template <ActivationKind kind>
void activate_row(float* v, size_t n, float p0, float p1) {
  size_t i = 0;
  for (; i + 8 <= n; i += 8) _mm256_storeu_ps(v + i, apply<kind>(_mm256_loadu_ps(v + i), p0, p1));
  if (i == n) return;
  const __m256i mask = first_8(static_cast<int64_t>(n - i));
  _mm256_maskstore_ps(v + i, mask, apply<kind>(_mm256_maskload_ps(v + i, mask), p0, p1));
}

void activate(float* v, size_t n, ActivationParams a) {
  switch (a.kind) {
    case ActivationKind::none: return;
    case ActivationKind::relu: return activate_row<ActivationKind::relu>(v, n, a.p0, a.p1);
    case ActivationKind::clip: return activate_row<ActivationKind::clip>(v, n, a.p0, a.p1);
    case ActivationKind::leaky_relu: return activate_row<ActivationKind::leaky_relu>(v, n, a.p0, a.p1);
    case ActivationKind::sigmoid: return activate_row<ActivationKind::sigmoid>(v, n, a.p0, a.p1);
    case ActivationKind::hard_sigmoid: return activate_row<ActivationKind::hard_sigmoid>(v, n, a.p0, a.p1);
    case ActivationKind::hard_swish: return activate_row<ActivationKind::hard_swish>(v, n, a.p0, a.p1);
    case ActivationKind::silu: return activate_row<ActivationKind::silu>(v, n, a.p0, a.p1);
    case ActivationKind::tanh_: return activate_row<ActivationKind::tanh_>(v, n, a.p0, a.p1);
  }
}

void quantize(const float* v, size_t n, float inverse_scale, int32_t zero_point, int32_t lo, int32_t hi, uint8_t* q) {
  const CodeRange256 range(zero_point, lo, hi);
  const __m256 inverse = splat(inverse_scale);
  const auto step = [&](const float* from) {
    __m256i r[4];
    for (int j = 0; j < 4; ++j) r[j] = range.round_nan(_mm256_mul_ps(_mm256_loadu_ps(from + 8 * j), inverse));
    return natural_order(range.pack(r[0], r[1], r[2], r[3]));
  };
  size_t i = 0;
  for (; i + 32 <= n; i += 32) store_codes(q + i, step(v + i));
  if (i == n) return;
  float last_v[32] = {};
  uint8_t last_q[32];
  __builtin_memcpy(last_v, v + i, (n - i) * sizeof(float));
  store_codes(last_q, step(last_v));
  __builtin_memcpy(q + i, last_q, n - i);
}

}  // namespace

const ActivationKernels activation_avx2 = {activate, quantize, "avx2"};

}  // namespace octet
