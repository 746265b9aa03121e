// Two integer convolutions in one kernel, see conv_cluster.cuh.
#include <array>

#include "backends/cuda/conv_cluster.cuh"
#include "backends/cuda/joined.h"

namespace octet::cuda {
namespace {

template <class K>
__global__ void __launch_bounds__(K::k_threads) joined_kernel(const __grid_constant__ JoinedParams p) {
  K::run(p.second, p.first);
}

struct JoinedEntry {
  ConvTile tile;
  void (*kernel)(JoinedParams);
  size_t shared_bytes, stage_bytes;
};

template <int BM, int BN, int WM, int WN, int WK, int BK, int Stages>
JoinedEntry joined_entry(const char* name) {
  using K = ClusterKernel<BM, BN, WM, WN, WK, BK, Stages, true>;
  constexpr size_t sums = 2 * K::k_sums_bytes;
  return {{name, BM, BN, K::k_group, WK, BK, Stages, false},
          joined_kernel<K>,
          K::k_shared > sums ? K::k_shared : sums,
          K::k_stage};
}

const std::array<JoinedEntry, 3>& entries() {
  static const std::array<JoinedEntry, 3> k_entries = {
      joined_entry<16, 16, 1, 1, 8, 128, 4>("joined 16x16 k8"),
      joined_entry<16, 32, 1, 1, 8, 128, 4>("joined 16x32 k8"),
      joined_entry<32, 32, 1, 1, 8, 128, 3>("joined 32x32 k8"),
  };
  return k_entries;
}

}  // namespace

int joined_tile_count() { return static_cast<int>(entries().size()); }
const ConvTile& joined_tile(int index) { return entries()[static_cast<size_t>(index)].tile; }

cudaError_t joined_setup() {
  for (const JoinedEntry& e : entries()) {
    cudaError_t set =
        cudaFuncSetAttribute(e.kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(e.shared_bytes));
    if (set == cudaSuccess)
      set = cudaFuncSetAttribute(e.kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                                 cudaSharedmemCarveoutMaxShared);
    if (set != cudaSuccess) return set;
  }
  return cudaSuccess;
}

cudaError_t launch_joined(int index, const JoinedParams& p, int split, cudaStream_t stream) {
  const JoinedEntry& e = entries()[static_cast<size_t>(index)];
  const int k_tiles =
      (p.first.k_used + e.tile.k_bytes - 1) / e.tile.k_bytes + (p.second.k_used + e.tile.k_bytes - 1) / e.tile.k_bytes;
  return launch_in_clusters(e.kernel, e.tile, e.stage_bytes, k_tiles, 2, split, p.second, p, stream);
}

}  // namespace octet::cuda
