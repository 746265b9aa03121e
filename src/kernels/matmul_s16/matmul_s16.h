#pragma once
// Products of two matrices of codes, both known at run time only: sums of s16 products in s32.

#include "base/isa.h"
#include "kernels/matmul_s16/matmul_s16_isa.h"

namespace octet {

/// The best set of the family that isa runs; its name tells which.
MatMulS16Kernels matmul_s16_kernels(Isa isa);

/// Columns of one packed panel of b.
inline constexpr int64_t k_matmul_s16_panel = 16;

}  // namespace octet
