#include "kernels/layout/layout.h"

namespace octet {

LayoutKernels layout_kernels(Isa isa) {
#define OCTET_KERNEL(entry, kernels) \
  if (isa >= Isa::entry) return kernels;
#include "kernels/layout/kernels.def"
#undef OCTET_KERNEL
  return layout_scalar;
}

}  // namespace octet
