#pragma once
// What an integer layer counts its bias in.

#include <optional>
#include <vector>

#include "repair/parameters.h"

namespace octet {

/// A bias code beyond this leaves the int32 accumulator less room than the products may need.
inline constexpr double k_largest_bias_code = 0x1p30;

/// The DequantizeLinear of a layer's weight (input 1), also behind the Transpose of a matrix, and the axis of its
/// output channels as stored; null when the weight is not in codes.
const Node* weight_dequantize(const Editor& editor, const Node& layer, size_t& axis);
/// x_scale * w_scale for each of `channels` outputs; nothing when x or the weight is not in codes with constant
/// parameters, or the scales do not belong to the outputs.
std::optional<std::vector<float>> layer_grid(const Editor& editor, const Node& layer, size_t channels);
/// Number of the weight's output channels (of one group, for ConvTranspose); 0 when it is unknown.
size_t output_channels(const Editor& editor, const Node& layer);
/// Whether every number of the bias is a whole multiple of its step that an int32 bias holds, as near as float tells.
bool is_on_grid(std::span<const float> bias, const std::vector<float>& grid);

}  // namespace octet
