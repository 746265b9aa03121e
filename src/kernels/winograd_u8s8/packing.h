#pragma once
// Weights of the integer Winograd convolution, transformed and in the order that WinogradProducts reads.

#include <cstdint>
#include <span>
#include <vector>

#include "base/aligned_vector.h"
#include "base/weight_memory.h"
#include "kernels/conv_u8s8/packing.h"
#include "kernels/winograd_u8s8/winograd_isa.h"

namespace octet {

/// Raised with every change of what pack_winograd_u8s8 writes (packed weights of plan files carry it).
inline constexpr int k_winograd_u8s8_packing = 1;

struct PackedWinogradU8S8 {
  std::vector<ConvU8S8Panel> panels;
  PackedConvWeights kept;              // weights, then bias at the next multiple of 64; own, or the descriptor's
  const std::byte* weights = nullptr;  // 64-byte aligned
  size_t weights_bytes = 0;
  std::span<const int32_t> bias;
  AlignedVector<float> multiplier;
  WeightBytes own;
};

PackedWinogradU8S8 pack_winograd_u8s8(const ConvU8S8Desc& desc, const WinogradKernel& kernel, bool natural_order);

}  // namespace octet
