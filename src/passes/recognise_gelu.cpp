// src/passes/recognise_gelu.cpp: x * 0.5 * (1 + erf(x / sqrt 2)) is Gelu(x), one function of one value, however the
// products are grouped; x * 0.5 * (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) is Gelu(x, approximate="tanh"). A part
// that others read too keeps the pieces.

#include <cmath>
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

/// x of x^3, and the nodes that make it: Pow(x, 3), or Mul(Mul(x, x), x).
std::optional<ValueId> cubed(const Editor& editor, ValueId v, std::vector<NodeId>& parts) {
  const NodeId id = editor.producer(v);
  if (id < 0 || !editor.single_use(v)) return std::nullopt;
  const Node& node = editor.node(id);
  parts.push_back(id);
  if (is_op(node, "Pow") && is_scalar(editor.graph(), node.inputs[1], 3.0)) return node.inputs[0];
  if (!is_op(node, "Mul")) return std::nullopt;
  for (size_t i = 0; i < 2; ++i) {
    const Node* square = editor.producer(node.inputs[i], "Mul");
    const ValueId x = node.inputs[1 - i];
    if (!square || !editor.single_use(node.inputs[i]) || square->inputs[0] != x || square->inputs[1] != x) continue;
    parts.push_back(editor.producer(node.inputs[i]));
    return x;
  }
  return std::nullopt;
}

/// x of sqrt(2 / pi) (x + 0.044715 x^3), and the nodes that make it.
std::optional<ValueId> tanh_argument(const Editor& editor, ValueId v, std::vector<NodeId>& parts) {
  const Graph& graph = editor.graph();
  const Node* scaled = editor.producer(v, "Mul");
  if (!scaled || !editor.single_use(v)) return std::nullopt;
  const std::optional<ValueId> sum = beside_scalar(graph, *scaled, std::sqrt(2 * std::numbers::inv_pi));
  const Node* add = sum ? editor.producer(*sum, "Add") : nullptr;
  if (!add || !editor.single_use(*sum)) return std::nullopt;
  parts = {editor.producer(v), editor.producer(*sum)};
  for (size_t i = 0; i < 2; ++i) {
    const Node* term = editor.producer(add->inputs[i], "Mul");
    const std::optional<ValueId> cube = term ? beside_scalar(graph, *term, 0.044715) : std::nullopt;
    if (!cube || !editor.single_use(add->inputs[i])) continue;
    parts.push_back(editor.producer(add->inputs[i]));
    return cubed(editor, *cube, parts) == add->inputs[1 - i] ? std::optional(add->inputs[1 - i]) : std::nullopt;
  }
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
    if (editor.gone(id) || !is_any(editor.node(id), {"Erf", "Tanh"})) continue;
    const Node erf = editor.node(id);
    const bool by_tanh = is_op(erf, "Tanh");
    std::vector<NodeId> argument;
    const std::optional<ValueId> x =
        by_tanh ? tanh_argument(editor, erf.inputs[0], argument) : divided(editor, erf.inputs[0]);
    if (!x || graph.value(*x).dtype != DType::f32) continue;
    const NodeId add = reader(editor, erf.outputs[0], "Add");
    if (add < 0 || beside_scalar(graph, editor.node(add), 1.0) != erf.outputs[0]) continue;
    const std::optional<Found> found = halved_product(editor, *x, editor.node(add).outputs[0]);
    if (!found) continue;
    const Node last = editor.node(found->last);
    if (!by_tanh) argument = {editor.producer(erf.inputs[0])};
    Node gelu = make_node("Gelu", last.name, {*x}, last.outputs);
    if (by_tanh) gelu.attributes["approximate"] = std::string("tanh");
    editor.replace(found->last, std::move(gelu));
    for (const NodeId part : found->parts) editor.remove(part);
    for (const NodeId part : argument) editor.remove(part);
    for (const NodeId part : {add, id}) editor.remove(part);
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
