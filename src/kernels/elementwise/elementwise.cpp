#include "kernels/elementwise/elementwise.h"

#include "base/vbmi.h"

namespace octet {
namespace {

ElementwiseKernels best_of(Isa isa) {
#define OCTET_KERNEL(entry, kernels) \
  if (isa >= Isa::entry) return kernels;
#include "kernels/elementwise/kernels.def"
#undef OCTET_KERNEL
  return elementwise_scalar;
}

}  // namespace

ElementwiseKernels elementwise_kernels(Isa isa) {
  ElementwiseKernels kernels = best_of(isa);
#if defined(__x86_64__)
  if (isa >= Isa::avx512_vnni && has_byte_lookups()) {
    kernels.lookup_u8 = lookup_u8_vbmi;
    kernels.lookup_rows_u8 = lookup_rows_u8_vbmi;
  }
#endif
  return kernels;
}

}  // namespace octet
