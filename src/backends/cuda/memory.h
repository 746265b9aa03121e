#pragma once
// Bytes between host and GPU for callers that hold device pointers of their own; no_cuda/memory.cpp stands in.

#include <cstddef>

#include "base/result.h"

namespace octet::cuda {

/// Waits for everything that the device was asked to do before. Errors: no GPU, an address that is no device memory.
Result<Done> copy_to_host(void* host, const void* device, size_t bytes);
Result<Done> copy_to_device(void* device, const void* host, size_t bytes);

}  // namespace octet::cuda
