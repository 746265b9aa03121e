#pragma once
// The integer convolution of few pixels and long sums (compute capability 9.0): the CTAs of a cluster share out K, and
// their exact sums meet through distributed shared memory. Tiles and inner loop are those of conv_mma.cuh.
//
// Joined: two convolutions whose outputs have the same place are one. K runs through the first and then through the
// second; the first's sums become codes, which are the second's residual and never leave the registers.
#include "backends/cuda/cluster.h"
#include "backends/cuda/conv_mma.cuh"

namespace octet::cuda {

/// All threads of the cluster; what they wrote to shared memory before is visible after. Warps have to be whole.
__device__ __forceinline__ void cluster_sync() {
  __syncwarp();
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
#endif
}
/// The word at `from` in the shared memory of the cluster's CTA `rank`.
__device__ __forceinline__ int32_t load_cluster(uint32_t from, int rank) {
  int32_t v = 0;
#if __CUDA_ARCH__ >= 900
  uint32_t there;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(from), "r"(rank));
  asm volatile("ld.shared::cluster.s32 %0, [%1];" : "=r"(v) : "r"(there) : "memory");
#endif
  return v;
}

template <int BM, int BN, int WM, int WN, int WK, int BK, int Stages, bool Joined>
struct ClusterKernel : ConvKernel<ConvType::u8s8, BM, BN, WM, WN, WK, BK, Stages, false> {
  using Base = ConvKernel<ConvType::u8s8, BM, BN, WM, WN, WK, BK, Stages, false>;
  using Part = typename Base::Part;
  using Sums = int32_t[Base::k_mi][Base::k_ni][4];
  static constexpr int k_group = Base::k_group, k_stage = Base::k_stage, k_v = Base::k_v, k_f = Base::k_f;
  static constexpr int k_convs = Joined ? 2 : 1;
  static constexpr size_t k_sums_bytes = size_t{4} * WK * BM * BN;  // of one convolution

  /// Tile kt of K, which the convolutions share one after the other.
  struct Source {
    const ConvParams& p;
    const ConvParams& before;
    typename Base::Rows rows, rows_before;
    int k_before;

    __device__ __forceinline__ void weights(uint32_t stage, int kt) const {
      if (Joined && kt < k_before) {
        Base::copy_weights(before, rows_before, stage, kt);
      } else {
        Base::copy_weights(p, rows, stage, kt - k_before);
      }
    }
    __device__ __forceinline__ void pixels(uint32_t stage, int kt) const {
      if (Joined && kt < k_before) {
        Base::copy_pixels(before, rows_before, stage, kt);
      } else {
        Base::copy_pixels(p, rows, stage, kt - k_before);
      }
    }
  };

  static __device__ __forceinline__ int tiles_of(const ConvParams& p) { return (p.k_used + BK - 1) / BK; }

  /// before: the first of two joined convolutions, else p itself.
  static __device__ __forceinline__ void run(const ConvParams& p, const ConvParams& before) {
    extern __shared__ __align__(128) uint8_t shared[];
    const int group = threadIdx.x / k_group, tid = threadIdx.x % k_group;
    const int warp = tid / 32, lane = tid % 32, wm = warp / WN, wn = warp % WN;
    const int n_tiles = (p.oc + BN - 1) / BN, tile = blockIdx.x;
    const int m0 = tile / n_tiles * BM, n0 = tile % n_tiles * BN;
    const int step = WK * gridDim.y, first = blockIdx.y * WK + group;
    const int k_before = Joined ? tiles_of(before) : 0, k_tiles = k_before + tiles_of(p);
    const uint32_t ring = shared_address(shared) + group * stages_used(k_tiles, step, Stages) * k_stage;
    const int count = first < k_tiles ? (k_tiles - first + step - 1) / step : 0;
    Source source{p, before, Base::rows_of(p, tid, m0, n0), {}, k_before};
    if constexpr (Joined) source.rows_before = Base::rows_of(before, tid, m0, n0);
#pragma unroll
    for (int s = 0; s < Stages - 1; ++s)
      if (s < count) source.weights(ring + s * k_stage, first + s * step);
    // Parts go to the CTAs of the cluster in turn.
    const int m = m0 + wm * Base::k_m + lane / 4, oc = n0 + wn * Base::k_n + lane % 4 * k_v;
    const int first_part = group * gridDim.y + blockIdx.y;
    typename Base::First own, own_before;
    own.load_channels(p, oc, first_part);
    if constexpr (Joined) own_before.load_channels(before, oc, first_part);
    grid_wait();
    if (p.early_trigger || count == 0) grid_trigger();
    if (!Joined && p.epilogue.has_residual) own.load_residual(p, m, oc, first_part);
#pragma unroll
    for (int s = 0; s < Stages - 1; ++s) {
      if (s < count) source.pixels(ring + s * k_stage, first + s * step);
      commit_copies();
    }
    Sums acc = {}, acc_before = {};
    for (int it = 0; it < count; ++it) {
      wait_copies<Stages - 2>();
      group_barrier<k_group>(group);
      const int next = it + Stages - 1;
      if (next < count) {
        const uint32_t stage = ring + next % Stages * k_stage;
        source.weights(stage, first + next * step);
        source.pixels(stage, first + next * step);
      }
      commit_copies();
      if (it == count - 1) grid_trigger();
      if (Joined && first + it * step < k_before) {
        Base::multiply_stage(acc_before, ring + it % Stages * k_stage, wm, wn, lane);
      } else {
        Base::multiply_stage(acc, ring + it % Stages * k_stage, wm, wn, lane);
      }
    }
    auto* const sums = reinterpret_cast<int32_t*>(shared);
    wait_copies<0>();
    __syncthreads();  // every group is through with its ring
    Base::put_sums(acc, sums, group, tid);
    if constexpr (Joined) Base::put_sums(acc_before, sums + WK * BM * BN, group, tid);
    __syncthreads();
    const bool alone = gridDim.y == 1;
    if (!alone) {  // the sums of all groups of warps, in the place of the first group's
      for (int e = threadIdx.x; e < BM * BN * k_convs; e += Base::k_threads) {
        int32_t* const at = sums + e / (BM * BN) * (WK * BM * BN) + e % (BM * BN);
        int32_t sum = 0;
#pragma unroll
        for (int from = 0; from < WK; ++from) sum += at[from * BM * BN];
        *at = sum;
      }
      cluster_sync();
    }
    for (int i = first_part; i < Base::k_parts; i += step) {
      const Part part(i);
      const int at = part.m(m), channel = part.oc(oc);
      int32_t v[k_f], v_before[k_f];
      gather(sums, part, tid, alone, v);
      if constexpr (Joined) gather(sums + WK * BM * BN, part, tid, alone, v_before);
      if (at >= p.m || channel >= p.oc) continue;
      if constexpr (Joined) {
        if (i != first_part) {
          own.load_channels(p, oc, i);
          own_before.load_channels(before, oc, i);
        }
        float codes[k_f];
        sums_to_floats<k_f>(before, v_before, own_before.bias, codes);
#pragma unroll
        for (int j = 0; j < k_f; ++j) codes[j] = __fmul_rn(codes[j], own_before.multiplier[j]);
        to_codes<k_f>(before.epilogue, codes, own.residual);
        finish_codes<k_f>(p, at, channel, v, own.bias, own.multiplier, own.residual);
      } else {
        Base::finish_part(p, part, i == first_part, m, oc, v, own);
      }
    }
    if (!alone) cluster_sync();  // nobody leaves while its sums are read
  }

  /// The sums of a part: of all groups of this CTA, or of all CTAs.
  static __device__ __forceinline__ void gather(const int32_t* sums, const Part& part, int tid, bool alone,
                                                int32_t (&v)[k_f]) {
    if (alone) {
      Base::add_group_sums(sums, part, tid, v);
      return;
    }
    const uint32_t from =
        shared_address(sums) + 4 * ((part.unit * 2 * Base::k_ni + part.group * k_v + part.channel) * k_group + tid);
#pragma unroll
    for (int j = 0; j < k_f; ++j) v[j] = 0;
    for (int rank = 0; rank < static_cast<int>(gridDim.y); ++rank) {
#pragma unroll
      for (int j = 0; j < k_f; ++j) v[j] += load_cluster(from + 4 * j * k_group, rank);
    }
  }
};

/// K split over the CTAs of a cluster of `split`.
template <class Params>
cudaError_t launch_in_clusters(void (*kernel)(Params), const ConvTile& tile, size_t stage_bytes, int k_tiles,
                               int convolutions, int split, const ConvParams& p, const Params& params,
                               cudaStream_t stream) {
  const int tiles = (p.m + tile.bm - 1) / tile.bm * ((p.oc + tile.bn - 1) / tile.bn);
  const int stages = stages_used(k_tiles, tile.groups * split, tile.stages);
  cudaLaunchAttribute attributes[2] = {};
  attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[0].val.programmaticStreamSerializationAllowed = 1;
  attributes[1].id = cudaLaunchAttributeClusterDimension;
  attributes[1].val.clusterDim.x = 1;
  attributes[1].val.clusterDim.y = static_cast<unsigned>(split);
  attributes[1].val.clusterDim.z = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(tiles), static_cast<unsigned>(split));
  config.blockDim = dim3(static_cast<unsigned>(tile.group_threads * tile.groups));
  const size_t ring = stage_bytes * static_cast<size_t>(stages * tile.groups);
  const size_t sums = size_t{4} * static_cast<size_t>(convolutions * tile.groups * tile.bm * tile.bn);
  config.dynamicSmemBytes = ring > sums ? ring : sums;
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = split > 1 ? 2 : 1;
  return cudaLaunchKernelEx(&config, kernel, params);
}

}  // namespace octet::cuda
