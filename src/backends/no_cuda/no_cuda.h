#pragma once
// Stands in for the CUDA back end where it is not built: the same function as backends/cuda/cuda_backend.h.

#include <memory>

#include "plan/backend.h"

namespace octet::cuda {

/// Always an Error that says so.
Result<std::shared_ptr<Backend>> make_backend(const DeviceOptions& options);

/// False here, true in the back end.
bool is_built_in();

}  // namespace octet::cuda
