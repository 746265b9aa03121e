#pragma once
// The layer object of the AMX kernel: its own packing and its own walk, the same answers.

#include <memory>

#include "kernels/conv_u8s8/amx_isa.h"
#include "kernels/conv_u8s8/conv_u8s8.h"
#include "kernels/implicit_gemm/split.h"

namespace octet {

/// kernel: the functions to use; a test gives plain ones for those that need AMX.
std::unique_ptr<const ConvU8S8> make_conv_u8s8_amx(const ConvU8S8Desc& desc, const ConvAmxKernel& kernel, CutBy cut,
                                                   Isa isa);

/// Those of this machine.
extern const ConvAmxKernel conv_amx_kernel;

}  // namespace octet
