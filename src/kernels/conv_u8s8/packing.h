#pragma once
// Packs a layer's weights, bias and multipliers into the order that an inner function reads (conv_u8s8_isa.h).

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/aligned_vector.h"
#include "base/weight_memory.h"
#include "kernels/activation/activation_codes.h"
#include "kernels/conv_u8s8/conv_u8s8.h"
#include "kernels/conv_u8s8/conv_u8s8_isa.h"
#include "kernels/implicit_gemm/live_taps.h"
#include "kernels/implicit_gemm/tap_table.h"

namespace octet {

/// The channel within a panel of `vectors` vectors that lane `lane` (of `lanes`) of vector `vector` holds. For u8
/// output the order is the one that 128-bit-wise packs and packus turn into natural order, lane by lane; otherwise it
/// is natural.
inline int conv_u8s8_channel(int lanes, int vectors, bool f32_output, int vector, int lane) {
  return f32_output ? vector * lanes + lane : lane / 4 * 4 * vectors + vector * 4 + lane % 4;
}

/// One panel: up to lanes * vectors output channels of one group.
struct ConvU8S8Panel {
  int64_t group = 0;
  int64_t first_channel = 0;  // among all output channels
  int64_t channels = 0;
  size_t weights_offset = 0;  // bytes
  size_t lane_offset = 0;     // elements of bias and multiplier
  LiveTaps taps = k_all_taps;
};

/// Raised with every change of what pack_conv_u8s8 writes: packed weights of plan files carry it, and those of another
/// version are packed anew. tests/kernels/packing_test.cpp notices a change that forgets it.
inline constexpr int k_conv_u8s8_packing = 1;

struct PackedConvU8S8 {
  std::vector<ConvU8S8Panel> panels;
  PackedConvWeights kept;              // weights, then bias at the next multiple of 64; own, or the descriptor's
  const std::byte* weights = nullptr;  // 64-byte aligned
  size_t weights_bytes = 0;
  std::span<const int32_t> bias;  // bias - x_zero_point * sum of weights
  AlignedVector<float> multiplier;
  WeightBytes own;
};

/// How a family cuts output channels into panels, and what its packed weights are called.
struct ConvPanelOrder {
  int64_t groups = 1;          // as they are run
  int lanes = 0, vectors = 0;  // channels of a vector, vectors of a full panel
  size_t vector_bytes = 0;     // weights of one vector of a panel
  bool natural_order = false;
  std::string form;  // of the packed weights
  std::vector<TapRun> runs = {};
};

/// Lays panels, weights, bias and multipliers out and has `write(panel, weights, bias)` fill each panel's; or takes
/// desc.packed in place where its form and size are right. bias comes zeroed, weights as they were allocated.
PackedConvU8S8 pack_panels(const ConvU8S8Desc& desc, const ConvPanelOrder& order,
                           const std::function<void(const ConvU8S8Panel&, std::byte*, int32_t*)>& write);

/// What all inner runs of a layer have in common. f32: sums are stored as floats.
ConvU8S8Run common_run(const ConvU8S8Desc& desc, bool f32, CodeClamp clamp);

/// How the layer reads the caller's image, if it does.
ImageSource image_source(const ConvU8S8Desc& desc, Isa isa);

/// How many neighbouring groups are run as one, with zero weights between them, so that narrow groups fill a vector:
/// the vector work never grows, since a vector's lanes were idle anyway.
int64_t merged_groups(const WindowGeometry& geometry, int lanes);
/// The layer seen with `merge` groups as one.
WindowGeometry with_merged_groups(WindowGeometry geometry, int64_t merge);

/// Whether sums become floats before they are stored. Relu and Clip of a code are bounds already; every other
/// activation needs the value as f32.
bool needs_f32(const ConvU8S8Desc& desc);

/// Form 3 to a code, behind the sums.
ActivationCodes activation_codes(const ConvU8S8Desc& desc, Isa isa);

/// Sums stay below 2^31, and so do a quarter of them and 255 residual steps.
CodeClamp code_clamp(const ConvU8S8Desc& desc);

/// Of the layer's weights, or as desc.packed has them.
std::vector<TapRun> conv_u8s8_runs(const ConvU8S8Desc& desc, const ConvU8S8Kernel& kernel);

/// merge: from merged_groups; taps: of the geometry with groups / merge groups. natural_order: for f32 output; runs: of
/// the weights (live_taps.h). Takes desc.packed in place where its form and size are right.
PackedConvU8S8 pack_conv_u8s8(const ConvU8S8Desc& desc, int64_t merge, const TapTable& taps,
                              const ConvU8S8Kernel& kernel, bool natural_order, std::vector<TapRun> runs = {});

}  // namespace octet
