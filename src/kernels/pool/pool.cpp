#include "kernels/pool/pool.h"

namespace octet {

PoolKernels pool_kernels(Isa isa) {
#define OCTET_KERNEL(entry, kernels) \
  if (isa >= Isa::entry) return kernels;
#include "kernels/pool/kernels.def"
#undef OCTET_KERNEL
  return pool_scalar;
}

}  // namespace octet
