#pragma once
// y[c] = scale[c] * x[c] + shift[c]: what BatchNormalization and constant Mul, Add, Sub and Div are to a Conv,
// ConvTranspose or Gemm.

#include <optional>
#include <string_view>
#include <vector>

#include "passes/match.h"

namespace octet {

struct ChannelAffine {
  std::vector<double> scale, shift;  // by channel (axis 1)
};

/// scale = gamma / sqrt(var + epsilon), shift = beta - mean * scale; nothing when a parameter is not a constant f32
/// vector or the node trains.
std::optional<ChannelAffine> batch_norm_affine(const Graph& graph, const Node& batch_norm);

/// Applies affine behind a Conv, ConvTranspose or Gemm with constant f32 weight and bias:
///   w' = w * scale, b' = b * scale + shift, in double, rounded once.
/// Returns the node with fresh constants in place of w and b (an absent bias appears), outputs unchanged; nothing when
/// weight, bias or channel count do not allow it.
std::optional<Node> absorb_behind(Editor& editor, NodeId host, const ChannelAffine& affine);

/// A Conv or ConvTranspose, or a Gemm with transB = 1 and alpha = beta = 1, whose weight and bias are constant f32.
bool is_affine_host(const Graph& graph, const Node& node);

}  // namespace octet
