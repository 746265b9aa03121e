#include "backends/cuda/memory.h"

#include "backends/cuda/device.h"

namespace octet::cuda {
namespace {

Result<Done> copy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, const void* device) {
  cudaPointerAttributes attributes = {};
  if (Result<Done> ok = check(cudaPointerGetAttributes(&attributes, device), "looking at a pointer"); !ok) return ok;
  // A host address would be copied all the same where the GPU can reach it, and crash where it cannot.
  if (attributes.type != cudaMemoryTypeDevice && attributes.type != cudaMemoryTypeManaged)
    return Error{ErrorCode::bad_argument, "the pointer is not to memory of the GPU; cudaMalloc() gives such memory"};
  return check(cudaMemcpy(to, from, bytes, kind), "copying");
}

}  // namespace

Result<Done> copy_to_host(void* host, const void* device, size_t bytes) {
  return copy(host, device, bytes, cudaMemcpyDeviceToHost, device);
}

Result<Done> copy_to_device(void* device, const void* host, size_t bytes) {
  return copy(device, host, bytes, cudaMemcpyHostToDevice, device);
}

}  // namespace octet::cuda
