#pragma once
// Weights of the integer Winograd convolution, transformed and in the order that WinogradProducts reads.

#include "kernels/conv_u8s8/packing.h"
#include "kernels/winograd_u8s8/winograd_isa.h"

namespace octet {

/// Raised with every change of what pack_winograd_u8s8 writes (packed weights of plan files carry it).
inline constexpr int k_winograd_u8s8_packing = 2;

/// As pack_conv_u8s8; the bias is the layer's own, since inputs come without their zero point.
PackedConvU8S8 pack_winograd_u8s8(const ConvU8S8Desc& desc, const WinogradKernel& kernel, bool natural_order);

}  // namespace octet
