#include "repair/bounds.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "repair/parameters.h"

namespace octet {
namespace {

constexpr double k_infinity = std::numeric_limits<double>::infinity();
/// Activations that are followed back from a value: no network needs more, and a file may hold a chain without end.
constexpr int k_most_nodes = 256;

std::optional<ValueBounds> bounds_within(const Editor& editor, ValueId v, int nodes_left);

std::optional<ValueBounds> of_constant(const Tensor& tensor) {
  const std::vector<double> values = to_doubles(tensor);
  if (values.empty() || !std::all_of(values.begin(), values.end(), [](double x) { return std::isfinite(x); }))
    return std::nullopt;
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return ValueBounds{*low, *high};
}

/// An end of a Clip: infinite where it is left out, nothing where it is computed.
std::optional<double> clip_end(const Graph& graph, ValueId v, double absent) {
  if (v == k_absent) return absent;
  const std::optional<float> end = scalar_constant(graph, v);
  return end && !std::isnan(*end) ? std::optional(double{*end}) : std::nullopt;
}

std::optional<ValueBounds> of_clip(const Editor& editor, const Node& clip, int nodes_left) {
  const std::optional<double> low = clip_end(editor.graph(), input(clip, 1), -k_infinity);
  const std::optional<double> high = clip_end(editor.graph(), input(clip, 2), k_infinity);
  if (!low || !high || *low > *high) return std::nullopt;
  const ValueBounds x =
      bounds_within(editor, clip.inputs[0], nodes_left).value_or(ValueBounds{-k_infinity, k_infinity});
  return ValueBounds{std::clamp(x.low, *low, *high), std::clamp(x.high, *low, *high)};
}

std::optional<ValueBounds> of_dequantize(const Graph& graph, const Node& node) {
  const std::optional<CodeParams> params = code_params(graph, node);
  if (!params) return std::nullopt;
  const int32_t lowest = params->dtype == DType::u8 ? 0 : -128;
  return ValueBounds{double{params->scale} * (lowest - params->zero_point),
                     double{params->scale} * (lowest + 255 - params->zero_point)};
}

std::optional<ValueBounds> bounds_within(const Editor& editor, ValueId v, int nodes_left) {
  const Graph& graph = editor.graph();
  v = before_movers(editor, v);
  if (const Tensor* constant = graph.constant(v)) return of_constant(*constant);
  const NodeId maker = editor.producer(v);
  if (maker < 0 || nodes_left == 0 || editor.node(maker).outputs[0] != v) return std::nullopt;
  const Node& node = editor.node(maker);
  if (is_dequantize(node)) return of_dequantize(graph, node);
  if (is_op(node, "Clip")) return of_clip(editor, node, nodes_left - 1);
  if (is_any(node, {"Sigmoid", "HardSigmoid", "Softmax"})) return ValueBounds{0, 1};
  if (is_op(node, "Tanh")) return ValueBounds{-1, 1};
  if (is_op(node, "Relu")) {
    const ValueBounds x =
        bounds_within(editor, node.inputs[0], nodes_left - 1).value_or(ValueBounds{-k_infinity, k_infinity});
    return ValueBounds{std::max(x.low, 0.0), std::max(x.high, 0.0)};
  }
  return std::nullopt;
}

}  // namespace

ValueId before_movers(const Editor& editor, ValueId v) {
  for (NodeId maker = editor.producer(v); maker >= 0; maker = editor.producer(v)) {
    const Node& node = editor.node(maker);
    if (!is_any(node, {"MaxPool", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Slice", "Identity",
                       "DepthToSpace", "SpaceToDepth", "Gather", "Tile", "Expand"}) ||
        node.outputs[0] != v)
      break;
    v = node.inputs[0];
  }
  return v;
}

std::optional<ValueBounds> bounds_of(const Editor& editor, ValueId v) { return bounds_within(editor, v, k_most_nodes); }

}  // namespace octet
