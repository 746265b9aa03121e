#pragma once
// The judge of the integer convolutions: plain loops over canonical weights.

#include <memory>

#include "kernels/conv_u8s8/conv_u8s8.h"

namespace octet {

std::unique_ptr<const ConvU8S8> make_conv_u8s8_scalar(const ConvU8S8Desc& desc);

}  // namespace octet
