#pragma once
// Packs a layer's weights and bias into the order that an inner function reads (conv_bf16_isa.h).

#include <cstdint>
#include <span>
#include <vector>

#include "base/weight_memory.h"
#include "kernels/conv_bf16/conv_bf16.h"
#include "kernels/conv_bf16/conv_bf16_isa.h"
#include "kernels/implicit_gemm/tap_table.h"
#include "kernels/implicit_gemm/weight_panel.h"

namespace octet {

struct PackedConvBf16 {
  std::vector<WeightPanel> panels;
  PackedConvWeights kept;  // weights, then bias at the next multiple of 64; own, or the descriptor's
  const uint16_t* weights = nullptr;
  size_t weights_bytes = 0;
  std::span<const float> bias;
  WeightBytes own;
};

/// As k_conv_u8s8_packing.
inline constexpr int k_conv_bf16_packing = 1;

/// Takes desc.packed in place where its form and size are right.
PackedConvBf16 pack_conv_bf16(const ConvBf16Desc& desc, const TapTable& taps, const ConvBf16TileKernel& kernel);

}  // namespace octet
