#pragma once
// The layer object of every kernel but AMX's and that of small images: blocks of pixels x panels of channels x tiles.

#include <memory>

#include "kernels/conv_u8s8/conv_u8s8.h"
#include "kernels/conv_u8s8/conv_u8s8_isa.h"
#include "kernels/implicit_gemm/split.h"

namespace octet {

/// kernel: the inner function, which must outlive the layer; a test gives one that looks on.
std::unique_ptr<const ConvU8S8> make_conv_u8s8_packed(const ConvU8S8Desc& desc, const ConvU8S8Kernel& kernel, CutBy cut,
                                                      Isa isa);

}  // namespace octet
