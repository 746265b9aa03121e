#pragma once
// From the sums of a warpgroup kernel of halves to what is stored, see conv_tma.cuh.

#include "backends/cuda/conv_epilogue.cuh"

namespace octet::cuda {

__device__ __forceinline__ uint4 load_shared(uint32_t from) {
  uint4 v;
  asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "r"(from));
  return v;
}

/// 16 channels of two pixels, 8 rows apart: which 64 columns, the first pixel and channel, where their residual lies in
/// shared memory.
struct Halves16 {
  int g, m, oc;
  uint32_t from;
};
template <bool HasResidual, int BN>
__device__ __forceinline__ void finish_halves(const ConvParams& p, const float (&acc)[BN / 2], const Halves16& at) {
  const int m = at.m, oc = at.oc;
  float bias[16], none[16];
  load_channels<ConvType::f16, 16>(p, oc, bias, none);
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    uint32_t words[8];
#pragma unroll
    for (int part = 0; part < 2; ++part) {
      uint32_t r[4] = {};
      if constexpr (HasResidual) {
        const uint4 v = load_shared(at.from + half * 8 * BN * 2 + part * 16);
        r[0] = v.x, r[1] = v.y, r[2] = v.z, r[3] = v.w;
      }
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int c = part * 8 + 2 * i, k = (at.g * 8 + c / 2) * 4 + half * 2;
        float2 v = make_float2(acc[k] + bias[c], acc[k + 1] + bias[c + 1]);
        if constexpr (HasResidual) {
          const float2 f = __half22float2(*reinterpret_cast<const __half2*>(&r[i]));
          v.x += f.x, v.y += f.y;
        }
        if (p.epilogue.act != Act::none) {  // ReLU or Clip: the planner offers these kernels no other
          v.x = keep_max(v.x, p.epilogue.p0), v.y = keep_max(v.y, p.epilogue.p0);
          v.x = keep_min(v.x, p.epilogue.p1), v.y = keep_min(v.y, p.epilogue.p1);
        }
        const __half2 h = __floats2half2_rn(v.x, v.y);
        words[part * 4 + i] = *reinterpret_cast<const uint32_t*>(&h);
      }
    }
    if (m + half * 8 < p.m)
      store_words<8>(static_cast<__half*>(p.y) + static_cast<size_t>(m + half * 8) * p.y_pitch + oc, words);
  }
}

}  // namespace octet::cuda
