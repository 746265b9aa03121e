#pragma once
// Packs a layer's weights and bias into the order that an inner function reads (conv_f32_isa.h), cut into blocks of the
// reduction whose weights stay in L2.

#include <cstdint>
#include <span>
#include <vector>

#include "base/weight_memory.h"
#include "kernels/conv_f32/conv_f32.h"
#include "kernels/conv_f32/conv_f32_isa.h"
#include "kernels/implicit_gemm/tap_table.h"
#include "kernels/implicit_gemm/weight_panel.h"

namespace octet {

/// A block of the reduction: whole segments, or a part of one segment.
struct ConvF32Block {
  int64_t first_segment = 0, segments = 0;
  int64_t first_position = 0, positions = 0;
};

struct PackedConvF32 {
  std::vector<WeightPanel> panels;
  std::vector<ConvF32Block> blocks;  // in increasing k order, the same for every panel
  PackedConvWeights kept;            // weights, then bias at the next multiple of 64; own, or the descriptor's
  const float* weights = nullptr;
  size_t weights_bytes = 0;
  std::span<const float> bias;
  WeightBytes own;
};

/// As k_conv_u8s8_packing.
inline constexpr int k_conv_f32_packing = 1;

/// Takes desc.packed in place where its form and size are right.
PackedConvF32 pack_conv_f32(const ConvF32Desc& desc, const TapTable& taps, const ConvF32Kernel& kernel);

}  // namespace octet
