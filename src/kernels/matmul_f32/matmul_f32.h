#pragma once
// Products of f32 matrices.

#include "base/isa.h"
#include "kernels/matmul_f32/matmul_f32_isa.h"

namespace octet {

/// The best set of the family that isa runs; its name tells which.
MatMulF32Kernels matmul_f32_kernels(Isa isa);

}  // namespace octet
