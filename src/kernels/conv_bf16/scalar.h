#pragma once
// The judge of the bfloat16 convolutions: plain loops over canonical weights.

#include <memory>

#include "kernels/conv_bf16/conv_bf16.h"

namespace octet {

std::unique_ptr<const ConvBf16> make_conv_bf16_scalar(const ConvBf16Desc& desc);

}  // namespace octet
