// The tiles of the integer convolution whose K the CTAs of a cluster share out.
#include <array>

#include "backends/cuda/cluster.h"
#include "backends/cuda/cluster_launch.h"
#include "backends/cuda/conv_cluster.cuh"

namespace octet::cuda {
namespace {

template <class K>
__global__ void __launch_bounds__(K::k_threads, K::k_resident) cluster_kernel(const __grid_constant__ ConvParams p) {
  K::run(p, p);
}

struct ClusterEntry {
  ConvTile tile;
  void (*kernel)(ConvParams);
  int (*ring_bytes)(int k_tiles, int split);
  size_t shared_bytes, slots_bytes;
};

template <int BM, int BN, int WM, int WN, int WK, int BK, int Stages>
ClusterEntry cluster_entry(const char* name) {
  using K = ClusterKernel<BM, BN, WM, WN, WK, BK, Stages, false>;
  return {{name, BM, BN, K::k_group, WK, BK, Stages, false},
          cluster_kernel<K>,
          K::ring_bytes,
          K::k_shared + K::k_slots_bytes,
          K::k_slots_bytes};
}

const std::array<ClusterEntry, 6>& entries() {
  static const std::array<ClusterEntry, 6> k_entries = {
      cluster_entry<16, 16, 1, 1, 8, 128, 4>("16x16 k8 cluster"),
      cluster_entry<16, 32, 1, 1, 8, 128, 4>("16x32 k8 cluster"),
      cluster_entry<32, 32, 1, 1, 8, 128, 3>("32x32 k8 cluster"),
      cluster_entry<32, 64, 1, 1, 4, 128, 3>("32x64 k4 cluster"),
      // Nine taps for nine warps.
      cluster_entry<16, 16, 1, 1, 9, 128, 3>("16x16 k9 cluster"),
      cluster_entry<16, 32, 1, 1, 9, 64, 4>("16x32 k9 b64 cluster"),
  };
  return k_entries;
}

}  // namespace

int cluster_tile_count() { return static_cast<int>(entries().size()); }
const ConvTile& cluster_tile(int index) { return entries()[static_cast<size_t>(index)].tile; }

cudaError_t cluster_setup() {
  for (const ClusterEntry& e : entries())
    if (const cudaError_t set = allow_shared(e.kernel, e.shared_bytes); set != cudaSuccess) return set;
  return cudaSuccess;
}

cudaError_t launch_cluster(int index, const ConvParams& p, int split, cudaStream_t stream) {
  const ClusterEntry& e = entries()[static_cast<size_t>(index)];
  const int k_tiles = (p.k_used + e.tile.k_bytes - 1) / e.tile.k_bytes;
  const size_t shared = static_cast<size_t>(e.ring_bytes(k_tiles, split)) + (split > 1 ? e.slots_bytes : 0);
  return launch_in_clusters(e.kernel, e.tile, shared, split, p, p, stream);
}

}  // namespace octet::cuda
