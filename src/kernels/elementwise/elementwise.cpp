#include "kernels/elementwise/elementwise.h"

namespace octet {

ElementwiseKernels elementwise_kernels(Isa isa) {
#define OCTET_KERNEL(entry, kernels) \
  if (isa >= Isa::entry) return kernels;
#include "kernels/elementwise/kernels.def"
#undef OCTET_KERNEL
  return elementwise_scalar;
}

}  // namespace octet
