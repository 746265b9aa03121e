#pragma once
// Pooling on NHWC. Rows of outputs are independent: oy in [0, oh) of image n.

#include "base/isa.h"
#include "kernels/pool/pool_isa.h"

namespace octet {

/// The best set of the family that isa runs; its name tells which.
PoolKernels pool_kernels(Isa isa);

}  // namespace octet
