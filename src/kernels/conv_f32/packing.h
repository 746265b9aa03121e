#pragma once
// Packs a layer's weights and bias into the order that an inner function reads (conv_f32_isa.h).

#include "kernels/conv_f32/conv_f32.h"
#include "kernels/conv_f32/conv_f32_isa.h"
#include "kernels/implicit_gemm/listed_tiles.h"

namespace octet {

/// As k_conv_u8s8_packing.
inline constexpr int k_conv_f32_packing = 1;

/// Of the layer's weights, or as desc.packed has them.
std::vector<TapRun> conv_f32_runs(const ConvF32Desc& desc, const ConvF32Kernel& kernel);

/// Takes desc.packed in place where its form and size are right. runs: those that the tiles were made with.
ListedWeights pack_conv_f32(const ConvF32Desc& desc, const ListedTiles& tiles, const ConvF32Kernel& kernel,
                            std::span<const TapRun> runs = {});

}  // namespace octet
