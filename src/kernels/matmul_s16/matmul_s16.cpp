#include "kernels/matmul_s16/matmul_s16.h"

namespace octet {

MatMulS16Kernels matmul_s16_kernels(Isa isa) {
#define OCTET_KERNEL(entry, kernels) \
  if (isa >= Isa::entry) return kernels;
#include "kernels/matmul_s16/kernels.def"
#undef OCTET_KERNEL
  return matmul_s16_scalar;
}

}  // namespace octet
