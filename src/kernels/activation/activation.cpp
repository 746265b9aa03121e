#include "kernels/activation/activation.h"

namespace octet {

ActivationKernels activation_kernels(Isa isa) {
#define OCTET_KERNEL(entry, kernels) \
  if (isa >= Isa::entry) return kernels;
#include "kernels/activation/kernels.def"
#undef OCTET_KERNEL
  return activation_scalar;
}

}  // namespace octet
