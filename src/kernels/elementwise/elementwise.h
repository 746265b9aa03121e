#pragma once
// Element-wise kernels on rows of n elements (a row = the C channels of one pixel, or a whole dense buffer).

#include "base/isa.h"
#include "kernels/elementwise/elementwise_isa.h"

namespace octet {

/// The best set of the family that isa runs; its name tells which.
ElementwiseKernels elementwise_kernels(Isa isa);

}  // namespace octet
