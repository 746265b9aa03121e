#pragma once
// Launches of the kernels whose CTAs share out K as a cluster (compute capability 9.0 and up).

#include "backends/cuda/launch.h"

namespace octet::cuda {

int cluster_tile_count();
const ConvTile& cluster_tile(int index);
cudaError_t cluster_setup();
/// split: CTAs of a cluster, at most 8.
cudaError_t launch_cluster(int index, const ConvParams& p, int split, cudaStream_t stream);

}  // namespace octet::cuda
