#pragma once
// The layer object of AMX: packing and the walk over blocks of pixels x panels of channels.

#include <memory>

#include "kernels/conv_bf16/conv_bf16.h"
#include "kernels/conv_bf16/conv_bf16_isa.h"
#include "kernels/implicit_gemm/split.h"

namespace octet {

/// kernel: the functions to use; a test gives plain ones for those that the machine lacks. It outlives the layer.
std::unique_ptr<const ConvBf16> make_conv_bf16_tiles(const ConvBf16Desc& desc, const ConvBf16TileKernel& kernel,
                                                     CutBy cut, Isa isa);

}  // namespace octet
