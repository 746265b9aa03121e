// The tiles of the integer convolution whose K the CTAs of a cluster share out.
#include <array>

#include "backends/cuda/conv_cluster.cuh"

namespace octet::cuda {
namespace {

template <class K>
__global__ void __launch_bounds__(K::k_threads) cluster_kernel(const __grid_constant__ ConvParams p) {
  K::run(p, p);
}

template <int BM, int BN, int WM, int WN, int WK, int BK, int Stages>
ConvEntry cluster_entry(const char* name) {
  using K = ClusterKernel<BM, BN, WM, WN, WK, BK, Stages, false>;
  return {{name, BM, BN, K::k_group, WK, BK, Stages, false}, cluster_kernel<K>, K::k_threads, K::k_shared, K::k_stage};
}

const std::array<ConvEntry, 4>& entries() {
  static const std::array<ConvEntry, 4> k_entries = {
      cluster_entry<16, 16, 1, 1, 8, 128, 4>("16x16 k8 cluster"),
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
  const int k_tiles = (p.k_used + e.tile.k_bytes - 1) / e.tile.k_bytes;
  return launch_in_clusters(e.kernel, e.tile, e.stage_bytes, k_tiles, 1, split, p, p, stream);
}

}  // namespace octet::cuda
