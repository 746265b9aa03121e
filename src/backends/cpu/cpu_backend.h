#pragma once
// The CPU back end: octet's own kernels on one thread pool. It shares no compute code with the reference back end.

#include <memory>

#include "base/isa.h"
#include "plan/backend.h"

namespace octet::cpu {

struct CpuOptions {
  int threads = 1;        // 0 = usable_threads()
  Isa isa = Isa::scalar;  // one of available_isas()
  size_t l2_bytes = 0;    // per core, decides how many images of a batch go together; 0 = as the system says
};
std::shared_ptr<Backend> make_backend(const CpuOptions& options);

}  // namespace octet::cpu
