#include "kernels/matmul_f32/matmul_f32.h"

namespace octet {

MatMulF32Kernels matmul_f32_kernels(Isa isa) {
#define OCTET_KERNEL(entry, kernels) \
  if (isa >= Isa::entry) return kernels;
#include "kernels/matmul_f32/kernels.def"
#undef OCTET_KERNEL
  return matmul_f32_scalar;
}

}  // namespace octet
