#pragma once
// Softmax and layer normalization of one row, and GELU.

#include "base/isa.h"
#include "kernels/normalize/normalize_isa.h"

namespace octet {

/// The best set of the family that isa runs; its name tells which.
NormalizeKernels normalize_kernels(Isa isa);

}  // namespace octet
