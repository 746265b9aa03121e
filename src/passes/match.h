#pragma once
// What every pass needs beside ir/editor.h: the questions that patterns ask of shapes, activations and codes.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ir/editor.h"

namespace octet {

// ---- constants ----

/// A constant f32 that, broadcast against rank dims with `channels` on axis 1, varies along axis 1 only: its `channels`
/// values.
std::optional<std::vector<float>> per_channel_constant(const Graph& graph, ValueId v, size_t rank, int64_t channels);

// ---- shapes ----

/// Extent of an axis when the rank and the extent are known, else -1.
int64_t extent(const Value& value, size_t axis);
/// Whether it is known to be one of images [N, C, H, W] or volumes [N, C, D, H, W].
bool has_pixels(const Value& value);
/// Equal as far as is known: same rank, no two known extents differ, no known 1 against an unknown.
bool same_shape(const Value& a, const Value& b);
/// Certainly equal: same rank and each extent known and equal, or of one symbol.
bool equal_shape(const Value& a, const Value& b);

// ---- activations ----

struct ActivationCall {
  std::string name;  // the spelling of src/ir/ops/README.md
  std::vector<float> params;
};
/// The node as a fusable activation of its input 0; nothing for other ops and for a Clip of unknown bounds.
std::optional<ActivationCall> match_activation(const Graph& graph, const Node& node);
/// A function of one f32 value that no epilogue takes, but a table of 256 codes: Gelu, Elu, Mish, ...
bool is_smooth_activation(const Graph& graph, const Node& node);
/// Can stand between codes as a table: one of the two.
inline bool has_table(const Graph& graph, const Node& node) {
  return match_activation(graph, node) || is_smooth_activation(graph, node);
}
void set_activation(Node& node, const std::optional<ActivationCall>& call);

// ---- residual adds ----

/// Which input (0 or 1) of an Add comes from the Conv that carries the Add in its epilogue: a 2-D or 3-D Conv that
/// may_host accepts, whose result nobody else reads and which has the Add's shape. Of two, the one executed last. Else
/// -1.
int residual_host(const Editor& editor, NodeId add, const std::function<bool(NodeId)>& may_host);

}  // namespace octet
