// The integer convolution of few pixels and long sums (compute capability 9.0): the CTAs of a cluster share out K, and
// their exact sums meet through distributed shared memory. Tiles and inner loop are those of conv_mma.cuh.
#include <algorithm>
#include <array>

#include "backends/cuda/cluster.h"
#include "backends/cuda/conv_mma.cuh"

namespace octet::cuda {
namespace {

/// All threads of the cluster; what they wrote to shared memory before is visible after.
__device__ __forceinline__ void cluster_sync() {
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

template <int BM, int BN, int WM, int WN, int WK, int BK, int Stages>
struct ClusterKernel : ConvKernel<ConvType::u8s8, BM, BN, WM, WN, WK, BK, Stages, false> {
  using Base = ConvKernel<ConvType::u8s8, BM, BN, WM, WN, WK, BK, Stages, false>;
  static constexpr int k_group = Base::k_group, k_stage = Base::k_stage, k_units = Base::k_units, k_v = Base::k_v;
  static constexpr int k_parts = k_units * Base::k_groups;  // what one group of warps finishes at a time

  static __device__ __forceinline__ void run(const ConvParams& p) {
    extern __shared__ __align__(128) uint8_t shared[];
    const int group = threadIdx.x / k_group, tid = threadIdx.x % k_group;
    const int warp = tid / 32, lane = tid % 32, wm = warp / WN, wn = warp % WN;
    const int n_tiles = (p.oc + BN - 1) / BN, tile = blockIdx.x;
    const int m0 = tile / n_tiles * BM, n0 = tile % n_tiles * BN;
    const int step = WK * gridDim.y, first = blockIdx.y * WK + group;
    const int k_tiles = (p.k_used + BK - 1) / BK;
    const uint32_t ring = shared_address(shared) + group * stages_used(k_tiles, step, Stages) * k_stage;
    const int count = first < k_tiles ? (k_tiles - first + step - 1) / step : 0;
    const typename Base::Rows rows = Base::rows_of(p, tid, m0, n0);
#pragma unroll
    for (int s = 0; s < Stages - 1; ++s)
      if (s < count) Base::copy_weights(p, rows, ring + s * k_stage, first + s * step);
    const int m = m0 + wm * Base::k_m + lane / 4, oc = n0 + wn * Base::k_n + lane % 4 * k_v;
    int32_t bias[k_v];
    float multiplier[k_v];
    if (first < k_parts)
      load_channels<ConvType::u8s8, k_v>(p, oc + first % Base::k_groups * Base::k_pg, bias, multiplier);
    grid_wait();
    if (p.epilogue.has_residual && blockIdx.y == 0) Base::prefetch_residual(p, m0 + tid, n0, group);
#pragma unroll
    for (int s = 0; s < Stages - 1; ++s) {
      if (s < count) Base::copy_pixels(p, rows, ring + s * k_stage, first + s * step);
      commit_copies();
    }
    int32_t acc[Base::k_mi][Base::k_ni][4] = {};
    for (int it = 0; it < count; ++it) {
      wait_copies<Stages - 2>();
      group_barrier<k_group>(group);
      const int next = it + Stages - 1;
      if (next < count) {
        const uint32_t stage = ring + next % Stages * k_stage;
        Base::copy_weights(p, rows, stage, first + next * step);
        Base::copy_pixels(p, rows, stage, first + next * step);
      }
      commit_copies();
      if (it == count - 1) grid_trigger();
      Base::multiply_stage(acc, ring + it % Stages * k_stage, wm, wn, lane);
    }
    add_groups(acc, reinterpret_cast<int32_t*>(shared), group, tid);
    cluster_sync();
    for (int part = first; part < k_parts; part += step) {
      const int u = part / Base::k_groups, g = part % Base::k_groups;
      if (part != first) load_channels<ConvType::u8s8, k_v>(p, oc + g * Base::k_pg, bias, multiplier);
      int32_t v[k_v] = {};
      for (int rank = 0; rank < static_cast<int>(gridDim.y); ++rank) {
#pragma unroll
        for (int i = 0; i < k_v; ++i)
          v[i] +=
              load_cluster(shared_address(shared) + 4 * (((u * 2 * Base::k_ni) + g * k_v + i) * k_group + tid), rank);
      }
      finish<ConvType::u8s8, k_v>(p, m + u / 2 * 16 + u % 2 * 8, oc + g * Base::k_pg, v, bias, multiplier);
    }
    cluster_sync();  // nobody leaves while its sums are read
  }

  /// The sums of all groups of warps, in the place of the first group's.
  static __device__ __forceinline__ void add_groups(const int32_t (&acc)[Base::k_mi][Base::k_ni][4], int32_t* sums,
                                                    int group, int tid) {
    constexpr int k_per_unit = 2 * Base::k_ni;
    wait_copies<0>();
    __syncthreads();  // every group is through with its ring
#pragma unroll
    for (int u = 0; u < k_units; ++u) {
#pragma unroll
      for (int i = 0; i < k_per_unit; ++i)
        sums[((group * k_units + u) * k_per_unit + i) * k_group + tid] = acc[u / 2][i / 2][u % 2 * 2 + i % 2];
    }
    __syncthreads();
    for (int e = threadIdx.x; e < BM * BN; e += Base::k_threads) {
      int32_t sum = 0;
#pragma unroll
      for (int from = 0; from < WK; ++from) sum += sums[from * BM * BN + e];
      sums[e] = sum;
    }
  }
};

template <int BM, int BN, int WM, int WN, int WK, int BK, int Stages>
ConvEntry cluster_entry(const char* name) {
  using K = ClusterKernel<BM, BN, WM, WN, WK, BK, Stages>;
  return {{name, BM, BN, K::k_group, WK, BK, Stages, false},
          conv_kernel<K, K::k_threads>,
          K::k_threads,
          K::k_shared,
          K::k_stage};
}

const std::array<ConvEntry, 3>& entries() {
  static const std::array<ConvEntry, 3> k_entries = {
      cluster_entry<16, 32, 1, 1, 8, 128, 4>("16x32 k8 cluster"),
      cluster_entry<32, 32, 1, 1, 8, 128, 3>("32x32 k8 cluster"),
      cluster_entry<32, 64, 1, 1, 4, 128, 3>("32x64 k4 cluster"),
  };
  return k_entries;
}

}  // namespace

int cluster_tile_count() { return static_cast<int>(entries().size()); }
const ConvTile& cluster_tile(int index) { return entries()[static_cast<size_t>(index)].tile; }

cudaError_t cluster_setup() {
  for (const ConvEntry& e : entries()) {
    cudaError_t set =
        cudaFuncSetAttribute(e.kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(e.shared_bytes));
    if (set == cudaSuccess)
      set = cudaFuncSetAttribute(e.kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                                 cudaSharedmemCarveoutMaxShared);
    if (set != cudaSuccess) return set;
  }
  return cudaSuccess;
}

cudaError_t launch_cluster(int index, const ConvParams& p, int split, cudaStream_t stream) {
  const ConvEntry& e = entries()[static_cast<size_t>(index)];
  const int tiles = (p.m + e.tile.bm - 1) / e.tile.bm * ((p.oc + e.tile.bn - 1) / e.tile.bn);
  const int stages =
      stages_used((p.k_used + e.tile.k_bytes - 1) / e.tile.k_bytes, e.tile.groups * split, e.tile.stages);
  cudaLaunchAttribute attributes[2] = {};
  attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[0].val.programmaticStreamSerializationAllowed = 1;
  attributes[1].id = cudaLaunchAttributeClusterDimension;
  attributes[1].val.clusterDim.x = 1;
  attributes[1].val.clusterDim.y = static_cast<unsigned>(split);
  attributes[1].val.clusterDim.z = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(tiles), static_cast<unsigned>(split));
  config.blockDim = dim3(static_cast<unsigned>(e.threads));
  config.dynamicSmemBytes = std::max(e.stage_bytes * static_cast<size_t>(stages * e.tile.groups),
                                     size_t{4} * e.tile.groups * e.tile.bm * e.tile.bn);
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = 2;
  return cudaLaunchKernelEx(&config, e.kernel, p);
}

}  // namespace octet::cuda
