#pragma once
// Between the caller's dense NCHW and octet's NHWC with channel pitch, per image and per row of pixels.

#include "base/isa.h"
#include "kernels/layout/layout_isa.h"

namespace octet {

/// The best set of the family that isa runs; its name tells which.
LayoutKernels layout_kernels(Isa isa);

}  // namespace octet
