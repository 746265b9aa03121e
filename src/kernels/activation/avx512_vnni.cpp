// AVX-512: src/tensor/activation.h, operation by operation, on 16 values.

#include "kernels/activation/activation_isa.h"
#include "kernels/requantize_avx512.h"

namespace octet {
namespace {

__m512 splat(float v) { return _mm512_set1_ps(v); }

// max(c, x) and min(c, x) return x when x is NaN or equal to c, as std::max(x, c) and std::min(x, c) do.
__m512 at_least(__m512 x, float c) { return _mm512_max_ps(splat(c), x); }
__m512 at_most(__m512 x, float c) { return _mm512_min_ps(splat(c), x); }

__m512 exp_f32(__m512 x) {
  x = at_most(at_least(x, -87.0f), 88.0f);
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, splat(0x1.715476p+0f)), _MM_FROUND_TO_NEAREST_INT);
  __m512 r = _mm512_fmadd_ps(n, splat(-0x1.62e400p-1f), x);
  r = _mm512_fmadd_ps(n, splat(-0x1.7f7d1cp-20f), r);
  __m512 p = splat(0x1.a0d2cep-13f);
  p = _mm512_fmadd_ps(p, r, splat(0x1.6e879cp-10f));
  p = _mm512_fmadd_ps(p, r, splat(0x1.111210p-7f));
  p = _mm512_fmadd_ps(p, r, splat(0x1.555382p-5f));
  p = _mm512_fmadd_ps(p, r, splat(0x1.555554p-3f));
  p = _mm512_fmadd_ps(p, r, splat(0x1.000000p-1f));
  const __m512 y = _mm512_add_ps(_mm512_fmadd_ps(p, _mm512_mul_ps(r, r), r), splat(1.0f));
  const __m512i exponent = _mm512_slli_epi32(_mm512_cvtps_epi32(n), 23);
  return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(y), exponent));
}

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
