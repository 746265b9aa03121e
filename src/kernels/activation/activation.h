#pragma once
// Vector forms of octet's activation functions and of form 3's quantization; bit-equal to src/tensor/activation.h.

#include "base/isa.h"
#include "kernels/activation/activation_isa.h"

namespace octet {

/// The best set of the family that isa runs; its name tells which.
ActivationKernels activation_kernels(Isa isa);

}  // namespace octet
