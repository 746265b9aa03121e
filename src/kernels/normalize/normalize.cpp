#include "kernels/normalize/normalize.h"

namespace octet {

NormalizeKernels normalize_kernels(Isa isa) {
#define OCTET_KERNEL(entry, kernels) \
  if (isa >= Isa::entry) return kernels;
#include "kernels/normalize/kernels.def"
#undef OCTET_KERNEL
  return normalize_scalar;
}

}  // namespace octet
