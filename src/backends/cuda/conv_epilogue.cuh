#pragma once
// From the sums of a convolution to what is stored: bias, multiplier, residual, activation, codes or floats. A thread
// finishes V neighbouring channels of one pixel.

#include "backends/cuda/conv_codes.cuh"
#include "backends/cuda/conv_values.cuh"
#include "backends/cuda/mma.cuh"

namespace octet::cuda {

template <ConvType T, int V>
__device__ __forceinline__ void finish(const ConvParams& p, int m, int oc,
                                       const typename Accumulator<T>::type (&acc)[V],
                                       const typename Accumulator<T>::type (&bias)[V], const float (&multiplier)[V]) {
  if (m >= p.m || oc >= p.oc) return;
  if constexpr (T == ConvType::u8s8) {
    uint32_t r[V / 4] = {};
    if (p.epilogue.has_residual) load_residual<V>(p, m, oc, r);
    finish_codes<V>(p, m, oc, acc, bias, multiplier, r);
  } else {
    finish_values<T == ConvType::f16, V>(p, m, oc, acc, bias);
  }
}

/// Brings bias and multiplier of a channel into L1, for a kernel that loads them when its sums are there.
template <ConvType T>
__device__ __forceinline__ void touch_channels(const ConvParams& p, int oc) {
  if (oc >= p.w_rows) return;
  uint32_t unused;
  asm volatile("ld.global.ca.b32 %0, [%1];" : "=r"(unused) : "l"(static_cast<const uint32_t*>(p.bias) + oc));
  if constexpr (T == ConvType::u8s8) asm volatile("ld.global.ca.b32 %0, [%1];" : "=r"(unused) : "l"(p.multiplier + oc));
}

/// bias and multiplier of V neighbouring channels; both arrays end at w_rows, a multiple of 64.
template <ConvType T, int V>
__device__ __forceinline__ void load_channels(const ConvParams& p, int oc, typename Accumulator<T>::type (&bias)[V],
                                              float (&multiplier)[V]) {
  uint32_t w[V] = {};
  const bool inside = oc < p.w_rows;
  if (inside) load_words<V>(w, static_cast<const uint32_t*>(p.bias) + oc);
#pragma unroll
  for (int i = 0; i < V; ++i) {
    if constexpr (T == ConvType::u8s8) {
      bias[i] = static_cast<int32_t>(w[i]);
    } else {
      bias[i] = __uint_as_float(w[i]);
    }
  }
  if constexpr (T == ConvType::u8s8) {
    if (inside) load_words<V>(w, p.multiplier + oc);
#pragma unroll
    for (int i = 0; i < V; ++i) multiplier[i] = __uint_as_float(w[i]);
  }
}

/// Bias and multiplier of four neighbouring channels of an integer convolution, on their way before they are needed.
struct FourChannels {
  int32_t bias[4];
  float multiplier[4];

  __device__ __forceinline__ void load(const ConvParams& p, int oc) {
    if (oc >= p.w_rows) return;
    const auto* const b = static_cast<const int32_t*>(p.bias) + oc;
    asm volatile("ld.global.nc.v4.s32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(bias[0]), "=r"(bias[1]), "=r"(bias[2]), "=r"(bias[3])
                 : "l"(b));
    asm volatile("ld.global.nc.v4.f32 {%0, %1, %2, %3}, [%4];"
                 : "=f"(multiplier[0]), "=f"(multiplier[1]), "=f"(multiplier[2]), "=f"(multiplier[3])
                 : "l"(p.multiplier + oc));
  }
};

}  // namespace octet::cuda
