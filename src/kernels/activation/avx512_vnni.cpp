// AVX-512: src/tensor/activation.h, operation by operation, on 16 values.

#include "kernels/activation/activation_isa.h"
#include "kernels/exp_avx512.h"
#include "kernels/requantize_avx512.h"

namespace octet {
namespace {

__m512 negate(__m512 x) { return _mm512_xor_ps(x, splat(-0.0f)); }
__m512 one_plus_exp_of_minus(__m512 x) { return _mm512_add_ps(splat(1.0f), exp_f32(negate(x))); }
__m512 hard_sigmoid(__m512 x, float alpha, float beta) {
  return at_most(at_least(_mm512_fmadd_ps(x, splat(alpha), splat(beta)), 0.0f), 1.0f);
}

template <ActivationKind kind>
__m512 apply(__m512 x, float p0, float p1) {
  if constexpr (kind == ActivationKind::relu) return at_least(x, 0.0f);
  if constexpr (kind == ActivationKind::clip) return at_most(at_least(x, p0), p1);
  if constexpr (kind == ActivationKind::leaky_relu)
    return _mm512_mask_mul_ps(x, _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ), x, splat(p0));
  if constexpr (kind == ActivationKind::sigmoid) return _mm512_div_ps(splat(1.0f), one_plus_exp_of_minus(x));
  if constexpr (kind == ActivationKind::hard_sigmoid) return hard_sigmoid(x, p0, p1);
  if constexpr (kind == ActivationKind::hard_swish) return _mm512_mul_ps(x, hard_sigmoid(x, 1.0f / 6.0f, 0.5f));
  if constexpr (kind == ActivationKind::silu) return _mm512_div_ps(x, one_plus_exp_of_minus(x));
  if constexpr (kind == ActivationKind::tanh_) {
    const __m512 bottom = _mm512_add_ps(exp_f32(_mm512_add_ps(x, x)), splat(1.0f));
    return _mm512_sub_ps(splat(1.0f), _mm512_div_ps(splat(2.0f), bottom));
  }
  return x;
}

template <ActivationKind kind>
void activate_row(float* v, size_t n, float p0, float p1) {
  for (size_t i = 0; i < n; i += 16) {
    const __mmask16 mask = first_16(static_cast<int64_t>(n - i));
    _mm512_mask_storeu_ps(v + i, mask, apply<kind>(_mm512_maskz_loadu_ps(mask, v + i), p0, p1));
  }
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
  const CodeRange512 range(zero_point, lo, hi);
  const __m512 inverse = splat(inverse_scale);
  for (size_t i = 0; i < n; i += 64) {
    const int64_t left = static_cast<int64_t>(n - i);
    __m512i r[4];
    for (int j = 0; j < 4; ++j)
      r[j] = range.round_nan(_mm512_mul_ps(_mm512_maskz_loadu_ps(first_16(left - 16 * j), v + i + 16 * j), inverse));
    _mm512_mask_storeu_epi8(q + i, first_64(left), natural_order(range.pack(r[0], r[1], r[2], r[3])));
  }
}

}  // namespace

const ActivationKernels activation_avx512_vnni = {activate, quantize, "avx512_vnni"};

}  // namespace octet
