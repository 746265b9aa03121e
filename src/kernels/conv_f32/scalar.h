#pragma once
// The judge of the FP32 convolutions: plain loops over canonical weights.

#include <memory>

#include "kernels/conv_f32/conv_f32.h"

namespace octet {

std::unique_ptr<const DenseConvF32> make_conv_f32_scalar(const ConvF32Desc& desc);

}  // namespace octet
