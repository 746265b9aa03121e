#pragma once
// The one expression of QuantizeLinear.

#include "backends/cuda/device.cuh"

namespace octet::cuda {

/// sat(rne(x / scale) + zero), one IEEE division.
__device__ __forceinline__ uint8_t quantized(float x, float scale, int32_t zero) {
  return static_cast<uint8_t>(rounded(__fdiv_rn(x, scale), static_cast<float>(-zero), static_cast<float>(255 - zero)) +
                              zero);
}

}  // namespace octet::cuda
