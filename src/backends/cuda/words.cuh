#pragma once
// Words of four bytes between registers and memory, as wide as they go.

#include "backends/cuda/device.cuh"

namespace octet::cuda {

/// V codes as V / 4 words, one store where the row keeps its alignment.
template <int V>
__device__ __forceinline__ void store_words(void* to, const uint32_t (&w)[V]) {
  if constexpr (V == 1) *static_cast<uint32_t*>(to) = w[0];
  if constexpr (V == 2) *static_cast<uint2*>(to) = make_uint2(w[0], w[1]);
  if constexpr (V >= 4) {
#pragma unroll
    for (int i = 0; i < V / 4; ++i)
      static_cast<uint4*>(to)[i] = make_uint4(w[4 * i], w[4 * i + 1], w[4 * i + 2], w[4 * i + 3]);
  }
}
template <int V>
__device__ __forceinline__ void load_words(uint32_t (&w)[V], const void* from) {
  if constexpr (V == 1) w[0] = *static_cast<const uint32_t*>(from);
  if constexpr (V == 2) {
    const uint2 v = *static_cast<const uint2*>(from);
    w[0] = v.x, w[1] = v.y;
  }
  if constexpr (V >= 4) {
#pragma unroll
    for (int i = 0; i < V / 4; ++i) {
      const uint4 v = static_cast<const uint4*>(from)[i];
      w[4 * i] = v.x, w[4 * i + 1] = v.y, w[4 * i + 2] = v.z, w[4 * i + 3] = v.w;
    }
  }
}

/// Four integers as bytes, each saturated to 0..255.
__device__ __forceinline__ uint32_t pack_bytes(const int32_t (&q)[4]) {
  uint32_t high, all;
  asm("cvt.pack.sat.u8.s32.b32 %0, %1, %2, 0;" : "=r"(high) : "r"(q[3]), "r"(q[2]));
  asm("cvt.pack.sat.u8.s32.b32 %0, %1, %2, %3;" : "=r"(all) : "r"(q[1]), "r"(q[0]), "r"(high));
  return all;
}

}  // namespace octet::cuda
