#pragma once
// Stands in for the CUDA copies where CUDA is not built: the same functions as backends/cuda/memory.h.

#include <cstddef>

#include "base/result.h"

namespace octet::cuda {

/// Always an Error that says so.
Result<Done> copy_to_host(void* host, const void* device, size_t bytes);
Result<Done> copy_to_device(void* device, const void* host, size_t bytes);

}  // namespace octet::cuda
