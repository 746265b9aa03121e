#pragma once
// Stands in for the CUDA back end where it is not built.

#include <memory>

#include "base/result.h"
#include "plan/backend.h"

namespace octet::cuda {

/// Always an Error that says so.
Result<std::shared_ptr<Backend>> make_backend(int threads);

}  // namespace octet::cuda
