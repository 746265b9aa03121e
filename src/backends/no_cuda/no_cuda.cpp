#include "backends/no_cuda/no_cuda.h"

namespace octet::cuda {

Result<std::shared_ptr<Backend>> make_backend(const DeviceOptions&) {
  return Error{ErrorCode::device,
               "back end 'cuda' is not built into this octet (-DOCTET_CUDA=ON builds it): use --device cpu"};
}

bool is_built_in() { return false; }

}  // namespace octet::cuda
