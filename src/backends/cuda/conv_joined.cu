// Two integer convolutions in one kernel, see conv_cluster.cuh.
#include <array>

#include "backends/cuda/cluster_launch.h"
#include "backends/cuda/conv_cluster.cuh"
#include "backends/cuda/joined.h"

namespace octet::cuda {
namespace {

template <class K>
__global__ void __launch_bounds__(K::k_threads, K::k_resident) joined_kernel(const __grid_constant__ JoinedParams p) {
  K::run(p.second, p.first);
}

struct JoinedEntry {
  ConvTile tile;
  void (*kernel)(JoinedParams);
  int (*ring_bytes)(int k_tiles, int split);
  size_t shared_bytes, slots_bytes;
};

template <int BM, int BN, int WM, int WN, int WK, int BK, int Stages>
JoinedEntry joined_entry(const char* name) {
  using K = ClusterKernel<BM, BN, WM, WN, WK, BK, Stages, true>;
  constexpr size_t sums = 2 * K::k_sums_bytes;
  return {{name, BM, BN, K::k_group, WK, BK, Stages, false},
          joined_kernel<K>,
          K::ring_bytes,
          (K::k_shared > sums ? K::k_shared : sums) + K::k_slots_bytes,
          K::k_slots_bytes};
}

const std::array<JoinedEntry, 5>& entries() {
  static const std::array<JoinedEntry, 5> k_entries = {
      joined_entry<16, 16, 1, 1, 8, 128, 4>("joined 16x16 k8"),
      joined_entry<16, 32, 1, 1, 8, 128, 4>("joined 16x32 k8"),
      joined_entry<32, 32, 1, 1, 8, 128, 3>("joined 32x32 k8"),
      // The nine taps of the one and the pixel of the other for ten warps.
      joined_entry<16, 16, 1, 1, 10, 128, 3>("joined 16x16 k10"),
      joined_entry<16, 32, 1, 1, 10, 64, 4>("joined 16x32 k10 b64"),
  };
  return k_entries;
}

}  // namespace

int joined_tile_count() { return static_cast<int>(entries().size()); }
const ConvTile& joined_tile(int index) { return entries()[static_cast<size_t>(index)].tile; }

cudaError_t joined_setup() {
  for (const JoinedEntry& e : entries())
    if (const cudaError_t set = allow_shared(e.kernel, e.shared_bytes); set != cudaSuccess) return set;
  return cudaSuccess;
}

cudaError_t launch_joined(int index, const JoinedParams& p, int split, cudaStream_t stream) {
  const JoinedEntry& e = entries()[static_cast<size_t>(index)];
  const int k_tiles =
      (p.first.k_used + e.tile.k_bytes - 1) / e.tile.k_bytes + (p.second.k_used + e.tile.k_bytes - 1) / e.tile.k_bytes;
  const size_t shared = static_cast<size_t>(e.ring_bytes(k_tiles, split)) + (split > 1 ? e.slots_bytes : 0);
  return launch_in_clusters(e.kernel, e.tile, shared, split, p.second, p, stream);
}

}  // namespace octet::cuda
