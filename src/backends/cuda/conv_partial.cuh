#pragma once
// K shared out over CTAs: their sums of a tile of BM x BN meet in p.partial, and the last CTA to arrive finishes it.

#include "backends/cuda/device.cuh"

namespace octet::cuda {

template <int BM, int BN>
struct PartialSums {
  static __device__ __forceinline__ int32_t* at(const ConvParams& p, int tile) {
    return p.partial + static_cast<size_t>(tile) * BM * BN;
  }
  /// The finished sum; zero is left for the next launch.
  static __device__ __forceinline__ int32_t take(int32_t* at) {
    const int32_t sum = __ldcg(at);
    *at = 0;
    return sum;
  }
  /// True in all threads of the CTA that arrives last at the tile.
  static __device__ __forceinline__ bool is_last(const ConvParams& p, int tile) {
    __shared__ int last;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
      last = atomicAdd(&p.arrived[tile], 1) == static_cast<int>(gridDim.y) - 1;
      if (last) p.arrived[tile] = 0;
    }
    __syncthreads();
    if (last) __threadfence();
    return last;
  }
};

}  // namespace octet::cuda
