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
  /// Adds the sums of this CTA, whose threads are one group; in the last CTA acc holds the whole sums afterwards.
  template <int MI, int NI>
  static __device__ __forceinline__ bool add(const ConvParams& p, int32_t (&acc)[MI][NI][4], int tid, int tile) {
    constexpr int k_sums = MI * NI * 4, k_threads = BM * BN / k_sums;
    int32_t* const to = at(p, tile) + tid;
#pragma unroll
    for (int i = 0; i < k_sums; ++i) {
      const int u = i / (2 * NI), j = i % (2 * NI);
      atomicAdd(to + i * k_threads, acc[u / 2][j / 2][u % 2 * 2 + j % 2]);
    }
    if (!is_last(p, tile)) return false;
#pragma unroll
    for (int i = 0; i < k_sums; ++i) {
      const int u = i / (2 * NI), j = i % (2 * NI);
      acc[u / 2][j / 2][u % 2 * 2 + j % 2] = take(to + i * k_threads);
    }
    return true;
  }
};

}  // namespace octet::cuda
