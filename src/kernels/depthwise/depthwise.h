#pragma once
// Depthwise convolution (groups = ic = oc), u8 codes and f32, NHWC. Same descriptors as the dense families.

#include <memory>

#include "kernels/conv_f32/conv_f32.h"
#include "kernels/conv_u8s8/conv_u8s8.h"

namespace octet {

/// Null when the geometry is not depthwise with multiplier 1 (groups == ic == oc).
std::unique_ptr<const ConvU8S8> make_depthwise_u8s8(const ConvU8S8Desc& desc, Isa isa);
std::unique_ptr<const ConvF32> make_depthwise_f32(const ConvF32Desc& desc, Isa isa);

}  // namespace octet
