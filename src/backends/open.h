#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "plan/backend.h"

namespace octet {

struct BackendOptions {
  int threads = 1;            // 0 = all usable; of the CPU
  DeviceOptions device = {};  // of the GPU
};
/// "cpu", "ref", "cuda" or "cuda:N" for device N (which answers that it is not built where it is not). cpu honours
/// OCTET_ISA.
Result<std::shared_ptr<Backend>> open_backend(std::string_view name, const BackendOptions& options = {});
/// Whether the build has the back end, whatever the machine has.
bool is_built_in(std::string_view name);

}  // namespace octet
