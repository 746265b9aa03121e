#pragma once
// Packs a layer's weights and bias into the order of tiles (tile_block_isa.h).

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/weight_memory.h"
#include "kernels/conv_bf16/conv_bf16.h"
#include "kernels/implicit_gemm/tile_plan.h"

namespace octet {

struct PackedConvBf16 {
  std::vector<TilePanel> panels;
  PackedConvWeights kept;  // weights, then bias at the next multiple of 64; own, or the descriptor's
  const std::byte* weights = nullptr;
  size_t weights_bytes = 0;
  std::span<const float> bias;
  WeightBytes own;
};

/// As k_conv_u8s8_packing.
inline constexpr int k_conv_bf16_packing = 2;

/// order: of each position of a row its index into an output channel's weights, -1 = zero; whole steps of so many.
/// Takes desc.packed in place where form and size are right.
PackedConvBf16 pack_conv_bf16(const ConvBf16Desc& desc, const std::vector<int64_t>& order, int64_t step,
                              const std::string& form);

}  // namespace octet
