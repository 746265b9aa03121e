#include "backends/no_cuda/memory.h"

namespace octet::cuda {
namespace {

Error not_built() {
  return {ErrorCode::device,
          "device pointers need a CUDA build of octet (-DOCTET_CUDA=ON), this one has none: give host pointers"};
}

}  // namespace

Result<Done> copy_to_host(void*, const void*, size_t) { return not_built(); }
Result<Done> copy_to_device(void*, const void*, size_t) { return not_built(); }

}  // namespace octet::cuda
