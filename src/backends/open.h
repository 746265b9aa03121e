#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "plan/backend.h"

namespace octet {

struct BackendOptions {
  int threads = 1;  // 0 = all usable
};
/// "cpu" or "ref" ("cuda" answers that it is not built). cpu honours OCTET_ISA.
Result<std::shared_ptr<Backend>> open_backend(std::string_view name, const BackendOptions& options = {});

}  // namespace octet
