#pragma once
// How the sums of a cluster's CTAs meet: each sends the sums of a part to the CTA that finishes it, into a slot of its
// own there.

#include "backends/cuda/cluster.cuh"

namespace octet::cuda {

template <class Base, int BM, int BN, int WK, int k_convs>
struct ClusterSlots {
  using Part = typename Base::Part;
  static constexpr int k_group = Base::k_group, k_f = Base::k_f, k_most_split = 8;
  /// Where the CTAs of a cluster put sums for the one that finishes their part: [part][rank][k_f][thread].
  static constexpr int k_part = k_f * k_group;
  static constexpr size_t k_bytes =
      size_t{4} * k_part * k_convs * (Base::k_parts > k_most_split ? Base::k_parts : k_most_split);

  /// Slot of part i of a convolution for what CTA `rank` has summed.
  static __device__ __forceinline__ int slot_of(int i, int conv, int rank) {
    const int split = gridDim.y, local = i / split, parts = (Base::k_parts + split - 1) / split;
    return ((conv * parts + local) * split + rank) * k_part;
  }
  /// The sums of all groups of this CTA, each part to the CTA that finishes it.
  static __device__ __forceinline__ void send(const int32_t* sums, const int32_t* slots) {
    for (int e = threadIdx.x; e < BM * BN * k_convs; e += Base::k_threads) {
      const int conv = e / (BM * BN), at = e % (BM * BN), i = at / k_part;
      const int32_t* const from = sums + conv * (WK * BM * BN) + at;
      int32_t sum = 0;
#pragma unroll
      for (int g = 0; g < WK; ++g) sum += from[g * BM * BN];
      store_cluster(shared_address(slots + slot_of(i, conv, blockIdx.y) + at % k_part), i % gridDim.y, sum);
    }
  }
  /// The sums of part i: of all groups of this CTA, or of all CTAs.
  static __device__ __forceinline__ void gather(const int32_t* sums, const int32_t* slots, int i, int conv, int tid,
                                                bool alone, int32_t (&v)[k_f]) {
    if (alone) {
      Base::add_group_sums(sums + conv * (WK * BM * BN), Part(i), tid, v);
      return;
    }
#pragma unroll
    for (int j = 0; j < k_f; ++j) v[j] = 0;
    for (int rank = 0; rank < static_cast<int>(gridDim.y); ++rank) {
      const int32_t* const from = slots + slot_of(i, conv, rank) + tid;
#pragma unroll
      for (int j = 0; j < k_f; ++j) v[j] += from[j * k_group];
    }
  }
};

}  // namespace octet::cuda
