#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "plan/backend.h"

namespace octet {

struct BackendOptions {
  int threads = 1;            // 0 = all usable; of the CPU
  DeviceOptions device = {};  // of the GPU
};
/// name: of backends.def, of a GPU with ":N" for device N (which answers that it is not built where it is not). cpu
/// honours OCTET_ISA.
Result<std::shared_ptr<Backend>> open_backend(std::string_view name, const BackendOptions& options = {});

/// What the name of a back end says, by backends.def.
struct BackendName {
  std::string_view kind;  // without the number
  bool is_gpu = false, is_built_in = true;
  int ordinal = 0;  // of a GPU
};
/// Errors: no such back end, or no number behind the colon.
Result<BackendName> parse_backend_name(std::string_view name);
/// "cuda" and "cuda:1": the device of that number of the first back end of GPUs.
std::string gpu_backend_name(std::string_view number = "0");
/// "cpu, ref, cuda or cuda:N".
std::string backend_names();
/// Those of this build: "cpu, ref".
std::string built_in_backends();

}  // namespace octet
