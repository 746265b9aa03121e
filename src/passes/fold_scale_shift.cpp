// src/passes/fold_scale_shift.cpp: folds a constant per-channel Mul, Div, Add or Sub into the Conv, ConvTranspose or
// Gemm before it. Runs behind the recognisers, whose patterns begin with such an Add.

#include "passes/channel_affine.h"
#include "passes/passes.h"

namespace octet {
namespace {

/// The node as an affine map of its operand `x` with constant coefficients; nothing for c / x, c - x of no constant.
std::optional<ChannelAffine> constant_affine(const Graph& graph, const Node& node, ValueId x, size_t rank,
                                             int64_t channels) {
  const bool x_first = node.inputs[0] == x;
  const std::optional<std::vector<float>> c = per_channel_constant(graph, node.inputs[x_first ? 1 : 0], rank, channels);
  if (!c || (is_op(node, "Div") && !x_first)) return std::nullopt;
  ChannelAffine affine;
  for (const float each : *c) {
    double scale = 1.0, shift = 0.0;
    if (is_op(node, "Mul")) scale = each;
    if (is_op(node, "Div")) scale = 1.0 / double{each};
    if (is_op(node, "Add")) shift = each;
    if (is_op(node, "Sub")) {
      scale = x_first ? 1.0 : -1.0;
      shift = x_first ? -double{each} : double{each};
    }
    if (is_op(node, "Div") && each == 0.0f) return std::nullopt;
    affine.scale.push_back(scale);
    affine.shift.push_back(shift);
  }
  return affine;
}

}  // namespace

Result<Changed> fold_scale_shift(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (!is_any(editor.node(id), {"Mul", "Div", "Add", "Sub"})) continue;
    const Node node = editor.node(id);
    for (size_t i = 0; i < 2; ++i) {
      const ValueId product = node.inputs[i];
      const NodeId host = editor.producer(product);
      if (host < 0 || !editor.single_use(product)) continue;
      const Value& value = graph.value(product);
      if (!value.shape || !same_shape(value, graph.value(node.outputs[0]))) continue;
      const auto affine = constant_affine(graph, node, product, value.shape->size(), extent(value, 1));
      std::optional<Node> folded = affine ? absorb_behind(editor, host, *affine) : std::nullopt;
      if (!folded) continue;
      folded->outputs = {node.outputs[0]};
      editor.remove(id);
      editor.replace(host, std::move(*folded));
      ++changed.count;
      break;
    }
  }
  return changed;
}

}  // namespace octet
