#pragma once
// The host's side of a kernel: its grid, its shared memory, its launch.

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

namespace octet::cuda {

/// Launches with programmatic stream serialization: the kernel must call grid_wait() before it reads or writes what
/// another kernel touches.
template <class... Params, class... Args>
cudaError_t launch(void (*kernel)(Params...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
                   Args&&... args) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return cudaSuccess;
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = 1;
  return cudaLaunchKernelEx(&config, kernel, Params(args)...);
}

/// Lets a kernel have up to `bytes` of shared memory. One split of L1 and shared memory for all such kernels: another
/// one has to wait until the chip is empty.
template <class... Params>
cudaError_t allow_shared(void (*kernel)(Params...), size_t bytes) {
  const cudaError_t set =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
  if (set != cudaSuccess) return set;
  return cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout, cudaSharedmemCarveoutMaxShared);
}

inline dim3 blocks_for(int64_t count, int per_block) {
  return dim3(static_cast<unsigned>((count + per_block - 1) / per_block));
}

}  // namespace octet::cuda
