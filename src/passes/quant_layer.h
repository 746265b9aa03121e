#pragma once
// Weights and biases of a Q/DQ Conv or Gemm in the form that QuantConv and QuantGemm take.

#include <optional>
#include <string>
#include <vector>

#include "passes/match.h"

namespace octet {

struct QuantLayer {
  Tensor weight;               // s8, output channels first, zero point 0
  std::vector<float> w_scale;  // by output channel
  std::optional<Tensor> bias;  // s32 on the grid x_scale * w_scale[c]
  /// What rounding to the grid took from a bias that does not lie on it, by channel; empty when nothing.
  std::vector<double> remainder;
};

struct QuantLayerMatch {
  std::optional<QuantLayer> layer;
  std::string note;  // why a layer with quantized input and weight stays float, or what its bias cost
};

/// The layer whose input has x_scale and whose weight (input 1) and bias (input 2) lie behind DequantizeLinear; the
/// bias may be a float constant: bias and remainder together are that number. channel_axis: of the weight as stored, 0,
/// or 1 for a rank-2 weight, which is then transposed. No layer and no note when the weight is not quantized.
QuantLayerMatch match_quant_layer(const Editor& editor, const Node& node, float x_scale, size_t channel_axis);

/// The largest |accumulator| that the layer can reach for any u8 or s8 input: 255 * sum |w| + |bias|, over channels.
double accumulator_bound(const QuantLayer& layer);
inline constexpr double k_accumulator_limit = 2147483648.0;  // 2^31: the bound must stay below

}  // namespace octet
