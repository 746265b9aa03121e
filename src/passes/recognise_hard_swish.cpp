// src/passes/recognise_hard_swish.cpp: x * clip(x + 3, 0, 6) / 6 is HardSwish(x), whether the division stands before
// the product (x * HardSigmoid(x; 1/6, 1/2), as recognise_hard_sigmoid leaves it) or behind it. Source:
// arXiv:1905.02244.

#include <cmath>

#include "passes/match.h"
#include "passes/passes.h"

namespace octet {
namespace {

bool near(float x, double wanted) { return std::abs(static_cast<double>(x) - wanted) <= 1e-6; }

/// The gate of x * gate: the producer of one factor is a HardSigmoid(1/6, 1/2) of the other factor.
NodeId gate_of_product(const Editor& editor, const Node& mul) {
  for (size_t i = 0; i < 2; ++i) {
    const Node* gate = editor.producer(mul.inputs[i], "HardSigmoid");
    if (!gate || !editor.single_use(mul.inputs[i]) || gate->inputs[0] != mul.inputs[1 - i]) continue;
    if (near(float_attribute(*gate, "alpha", 0.2f), 1.0 / 6.0) && near(float_attribute(*gate, "beta", 0.5f), 0.5))
      return editor.producer(mul.inputs[i]);
  }
  return -1;
}

/// x * clip(x + 3, 0, 6) with result v: the Mul, Clip and Add; empty when v is something else.
std::vector<NodeId> sixfold_hard_swish(const Editor& editor, ValueId v, ValueId& x) {
  const Graph& graph = editor.graph();
  const Node* mul = editor.producer(v, "Mul");
  if (!mul || !editor.single_use(v)) return {};
  for (size_t i = 0; i < 2; ++i) {
    x = mul->inputs[1 - i];
    const Node* clip = editor.producer(mul->inputs[i], "Clip");
    if (!clip || !editor.single_use(mul->inputs[i])) continue;
    const std::optional<float> lo = scalar_constant(graph, input(*clip, 1));
    if (!lo || *lo != 0.0f || !is_scalar(graph, input(*clip, 2), 6.0)) continue;
    const Node* add = editor.producer(clip->inputs[0], "Add");
    if (!add || !editor.single_use(clip->inputs[0])) continue;
    const bool three_plus_x = (add->inputs[0] == x && is_scalar(graph, add->inputs[1], 3.0)) ||
                              (add->inputs[1] == x && is_scalar(graph, add->inputs[0], 3.0));
    if (three_plus_x) return {editor.producer(v), editor.producer(mul->inputs[i]), editor.producer(clip->inputs[0])};
  }
  return {};
}

/// The value that a division by 6 or a product with 1/6 takes, or k_absent.
ValueId divided_by_six(const Graph& graph, const Node& node) {
  if (is_op(node, "Div") && is_scalar(graph, node.inputs[1], 6.0)) return node.inputs[0];
  if (!is_op(node, "Mul")) return k_absent;
  if (is_scalar(graph, node.inputs[1], 1.0 / 6.0)) return node.inputs[0];
  return is_scalar(graph, node.inputs[0], 1.0 / 6.0) ? node.inputs[1] : k_absent;
}

}  // namespace

Result<Changed> recognise_hard_swish(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (editor.gone(id) || !is_any(editor.node(id), {"Mul", "Div"})) continue;
    const Node node = editor.node(id);
    ValueId x = k_absent;
    std::vector<NodeId> pieces;
    if (const ValueId v = divided_by_six(graph, node); v != k_absent) pieces = sixfold_hard_swish(editor, v, x);
    if (pieces.empty() && is_op(node, "Mul")) {
      const NodeId gate = gate_of_product(editor, node);
      if (gate < 0) continue;
      pieces = {gate};
      x = editor.node(gate).inputs[0];
    }
    if (pieces.empty() || !same_shape(graph.value(x), graph.value(node.outputs[0]))) continue;
    editor.replace(id, make_node("HardSwish", node.name, {x}, node.outputs));
    for (const NodeId piece : pieces) editor.remove(piece);
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
