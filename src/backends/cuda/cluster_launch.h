#pragma once
// Launches a kernel whose K the CTAs of a cluster share out.

#include <cuda_runtime.h>

#include "backends/cuda/launch.h"

namespace octet::cuda {

/// K split over the CTAs of a cluster of `split`, `shared` bytes each.
template <class Params>
cudaError_t launch_in_clusters(void (*kernel)(Params), const ConvTile& tile, size_t shared, int split,
                               const ConvParams& p, const Params& params, cudaStream_t stream) {
  const int tiles = (p.m + tile.bm - 1) / tile.bm * ((p.oc + tile.bn - 1) / tile.bn);
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
  config.dynamicSmemBytes = shared;
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = split > 1 ? 2 : 1;
  return cudaLaunchKernelEx(&config, kernel, params);
}

}  // namespace octet::cuda
