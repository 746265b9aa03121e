#pragma once
// Depthwise layers whose input may and whose output must be bfloat16: FP32 products and sums of what they read, the
// bits of make_depthwise_f32 rounded to nearest even, subnormal ones to zero (vcvtneps2bf16).

#include <memory>

#include "kernels/conv_bf16/conv_bf16.h"
#include "kernels/conv_f32/conv_f32.h"

namespace octet {

/// Null where depthwise_bf16_refuses says why.
std::unique_ptr<const ConvBf16> make_depthwise_bf16(const ConvF32Desc& desc, bool x_is_bf16, Isa isa);

/// Empty, or why there is no such layer: weights are not asked.
std::string depthwise_bf16_refuses(const ConvF32Desc& desc, Isa isa);

}  // namespace octet
