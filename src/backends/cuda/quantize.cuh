#pragma once
// The one expression of QuantizeLinear.

#include "backends/cuda/device.cuh"

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

}  // namespace octet::cuda
