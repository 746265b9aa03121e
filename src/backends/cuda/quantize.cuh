#pragma once
// The one expression of QuantizeLinear.

#include "backends/cuda/words.cuh"

namespace octet::cuda {

/// sat(rne(x / scale) + zero), one IEEE division.
__device__ __forceinline__ uint8_t quantized(float x, float scale, int32_t zero) {
  return static_cast<uint8_t>(rounded(__fdiv_rn(x, scale), static_cast<float>(-zero), static_cast<float>(255 - zero)) +
                              zero);
}

/// The same by a product with inverse = 1 / scale, whose error is below 2^-21 of it: the quotient is needed only where
/// the product lies so near the middle between two codes that the error could matter, or where it is no number. Codes
/// beyond +-512 saturate either way (a zero point is within 255).
__device__ __forceinline__ uint8_t quantized(float x, float scale, float inverse, int32_t zero) {
  float t = __fmul_rn(x, inverse);
  const float from_middle = fabsf(__fsub_rn(__fsub_rn(t, floorf(t)), 0.5f));
  constexpr float k_near = 0x1p-11f;  // 512 * 2^-21 is 2^-12
  if (!(from_middle > k_near) && !(fabsf(t) > 512.0f)) t = __fdiv_rn(x, scale);
  return static_cast<uint8_t>(rounded(t, static_cast<float>(-zero), static_cast<float>(255 - zero)) + zero);
}

/// The same of up to four values as the bytes of a word, those behind the last one 0. Rounding by adding 1.5 * 2^23
/// shows how far the product is from its code: near half a step one quotient decides, as above, and a NaN as well.
template <int N>
__device__ __forceinline__ uint32_t quantized_word(const float (&x)[N], float scale, float inverse, int32_t zero) {
  constexpr float k_sure = 0.5f - 0x1p-11f;
  int32_t q[4] = {};
  bool sure = true;
#pragma unroll
  for (int i = 0; i < N; ++i) {
    const float product = __fmul_rn(x[i], inverse);
    const float t = fmaxf(product, -1024.0f);  // saturates; the sum below stays positive
    const float sum = __fadd_rn(t, 12582912.0f);
    sure = sure && fabsf(__fsub_rn(t, __fsub_rn(sum, 12582912.0f))) < k_sure && product == product;
    q[i] = __float_as_int(sum) - 0x4B400000 + zero;
  }
  if (!sure) {
#pragma unroll
    for (int i = 0; i < N; ++i) q[i] = quantized(x[i], scale, inverse, zero);
  }
  return pack_bytes(q);
}

}  // namespace octet::cuda
