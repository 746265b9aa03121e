#pragma once
// Bin indices of a row of floats, for quant/histogram.h.

#include "base/isa.h"
#include "kernels/histogram/histogram_isa.h"

namespace octet {

/// The best set of the family that isa runs; its name tells which.
HistogramKernels histogram_kernels(Isa isa);

}  // namespace octet
