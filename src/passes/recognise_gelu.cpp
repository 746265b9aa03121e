// src/passes/recognise_gelu.cpp: x * 0.5 * (1 + erf(x / sqrt 2)) is Gelu(x), one function of one value, however the
// products are grouped. A part that others read too keeps the pieces.

#include <numbers>

#include "passes/match.h"
#include "passes/passes.h"

namespace octet {
namespace {

/// The other operand of a Mul or Add whose constant is x; nothing when neither operand is.
std::optional<ValueId> beside_scalar(const Graph& graph, const Node& node, double x) {
  for (size_t i = 0; i < 2; ++i)
    if (is_scalar(graph, node.inputs[i], x)) return node.inputs[1 - i];
  return std::nullopt;
}

/// x of Erf(x / sqrt 2).
std::optional<ValueId> divided(const Editor& editor, ValueId v) {
  const NodeId id = editor.producer(v);
  if (id < 0 || !editor.single_use(v)) return std::nullopt;
  const Node& node = editor.node(id);
  if (is_op(node, "Div") && is_scalar(editor.graph(), node.inputs[1], std::numbers::sqrt2)) return node.inputs[0];
  if (is_op(node, "Mul")) return beside_scalar(editor.graph(), node, 1 / std::numbers::sqrt2);
  return std::nullopt;
}

/// The only reader of v when it is of this op, else -1.
NodeId reader(const Editor& editor, ValueId v, std::string_view op) {
  const NodeId id = editor.only_reader(v);
  return id >= 0 && is_op(editor.node(id), op) ? id : -1;
}

/// The node whose output is the Gelu of x, and those that go with it.
struct Found {
  NodeId last = -1;
  std::vector<NodeId> parts;
};

/// x * 0.5 * gate, where gate = 1 + erf(..): (x * gate) * 0.5, x * (gate * 0.5), or (x * 0.5) * gate.
std::optional<Found> halved_product(const Editor& editor, ValueId x, ValueId gate) {
  const NodeId product = reader(editor, gate, "Mul");
  if (product < 0) return std::nullopt;
  const Node& node = editor.node(product);
  const ValueId other = node.inputs[node.inputs[0] == gate ? 1 : 0];
  if (other == x) {
    const NodeId half = reader(editor, node.outputs[0], "Mul");
    if (half < 0 || !beside_scalar(editor.graph(), editor.node(half), 0.5)) return std::nullopt;
    return Found{half, {product}};
  }
  if (beside_scalar(editor.graph(), node, 0.5) == gate) {
    const NodeId whole = reader(editor, node.outputs[0], "Mul");
    if (whole < 0) return std::nullopt;
    const std::vector<ValueId>& factors = editor.node(whole).inputs;
    if (factors[factors[0] == node.outputs[0] ? 1 : 0] != x) return std::nullopt;
    return Found{whole, {product}};
  }
  const Node* scaled = editor.producer(other, "Mul");
  if (!scaled || !editor.single_use(other) || beside_scalar(editor.graph(), *scaled, 0.5) != x) return std::nullopt;
  return Found{product, {editor.producer(other)}};
}

}  // namespace

Result<Changed> recognise_gelu(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (editor.gone(id) || !is_op(editor.node(id), "Erf")) continue;
    const Node erf = editor.node(id);
    const std::optional<ValueId> x = divided(editor, erf.inputs[0]);
    if (!x || graph.value(*x).dtype != DType::f32) continue;
    const NodeId add = reader(editor, erf.outputs[0], "Add");
    if (add < 0 || beside_scalar(graph, editor.node(add), 1.0) != erf.outputs[0]) continue;
    const std::optional<Found> found = halved_product(editor, *x, editor.node(add).outputs[0]);
    if (!found) continue;
    const Node last = editor.node(found->last);
    const NodeId scale = editor.producer(erf.inputs[0]);
    editor.replace(found->last, make_node("Gelu", last.name, {*x}, last.outputs));
    for (const NodeId part : found->parts) editor.remove(part);
    for (const NodeId part : {add, id, scale}) editor.remove(part);
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
