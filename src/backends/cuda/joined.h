#pragma once
// Launches of two integer convolutions in one kernel: the first's codes are the residual of the second.

#include "backends/cuda/launch.h"

namespace octet::cuda {

/// Both have the same output pixels and channels. first has no residual; second has one without an address.
struct JoinedParams {
  ConvParams first, second;
};

int joined_tile_count();
const ConvTile& joined_tile(int index);
cudaError_t joined_setup();
/// split: CTAs of a cluster that share out K. Compute capability 9.0.
cudaError_t launch_joined(int index, const JoinedParams& p, int split, cudaStream_t stream);

}  // namespace octet::cuda
