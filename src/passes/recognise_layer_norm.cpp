// src/passes/recognise_layer_norm.cpp: the pieces of LayerNormalization over the last axis,
//   d = x - ReduceMean(x);  y = d / Sqrt(ReduceMean(d * d) + epsilon) * scale + bias
// become the op. d * d may be Pow(d, 2); scale and bias are constants of one axis. Pieces that others read too stay.

#include "passes/match.h"
#include "passes/passes.h"

namespace octet {
namespace {

/// The input of a ReduceMean over the last axis that keeps it.
std::optional<ValueId> mean_of_last_axis(const Editor& editor, ValueId v) {
  const Graph& graph = editor.graph();
  const Node* node = editor.producer(v, "ReduceMean");
  if (!node || int_attribute(*node, "keepdims", 1) == 0) return std::nullopt;
  const std::optional<Shape>& shape = graph.value(node->inputs[0]).shape;
  const std::optional<std::vector<int64_t>> axes =
      input(*node, 1) == k_absent ? std::nullopt : constant_ints(graph, node->inputs[1]);
  if (!axes || axes->size() != 1 || !shape || shape->empty()) return std::nullopt;
  if (axes->front() != -1 && axes->front() != static_cast<int64_t>(shape->size()) - 1) return std::nullopt;
  return node->inputs[0];
}

/// d of d * d or Pow(d, 2).
std::optional<ValueId> squared(const Editor& editor, ValueId v) {
  if (const Node* mul = editor.producer(v, "Mul"))
    return mul->inputs[0] == mul->inputs[1] ? std::optional(mul->inputs[0]) : std::nullopt;
  const Node* pow = editor.producer(v, "Pow");
  return pow && is_scalar(editor.graph(), pow->inputs[1], 2.0) ? std::optional(pow->inputs[0]) : std::nullopt;
}

struct Pieces {
  ValueId x = k_absent;
  float epsilon = 0;
  std::vector<NodeId> nodes;
};

/// The pieces of d / Sqrt(ReduceMean(d * d) + epsilon).
std::optional<Pieces> normalized(const Editor& editor, const Node& div) {
  const Graph& graph = editor.graph();
  const ValueId d = div.inputs[0], root = div.inputs[1];
  const Node* sub = editor.producer(d, "Sub");
  const Node* sqrt = editor.producer(root, "Sqrt");
  const Node* add = sqrt ? editor.producer(sqrt->inputs[0], "Add") : nullptr;
  if (!sub || !add || !editor.single_use(root) || !editor.single_use(sqrt->inputs[0])) return std::nullopt;
  const size_t constant = scalar_constant(graph, add->inputs[0]) ? 0 : 1;
  const std::optional<float> epsilon = scalar_constant(graph, add->inputs[constant]);
  const ValueId variance = add->inputs[1 - constant];
  const std::optional<ValueId> square = epsilon ? mean_of_last_axis(editor, variance) : std::nullopt;
  if (!square || !editor.single_use(variance) || squared(editor, *square) != d || !editor.single_use(*square))
    return std::nullopt;
  const ValueId x = sub->inputs[0], mean = sub->inputs[1];
  if (mean_of_last_axis(editor, mean) != x || !editor.single_use(mean) || editor.is_output(d)) return std::nullopt;
  // d is read by the division and by the square only (d * d reads it twice).
  const size_t readers = editor.readers(d).size();
  const bool by_mul = editor.producer(*square, "Mul") != nullptr;
  if (readers != (by_mul ? 3u : 2u)) return std::nullopt;
  return Pieces{x,
                *epsilon,
                {editor.producer(root), editor.producer(sqrt->inputs[0]), editor.producer(variance),
                 editor.producer(*square), editor.producer(d), editor.producer(mean)}};
}

/// The constant operand of a Mul or Add, of as many elements as the last axis of `of`.
std::optional<ValueId> vector_beside(const Graph& graph, const Node& node, ValueId value) {
  const ValueId other = node.inputs[node.inputs[0] == value ? 1 : 0];
  const Tensor* tensor = constant_of(graph, other, DType::f32);
  const std::optional<Shape>& shape = graph.value(value).shape;
  if (!tensor || tensor->rank() != 1 || !shape || shape->empty() || shape->back() != Dim(tensor->size()))
    return std::nullopt;
  return other;
}

}  // namespace

Result<Changed> recognise_layer_norm(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (editor.gone(id) || !is_op(editor.node(id), "Div")) continue;
    const Node div = editor.node(id);
    const std::optional<Pieces> pieces = normalized(editor, div);
    if (!pieces || graph.value(pieces->x).dtype != DType::f32) continue;
    const NodeId mul = editor.only_reader(div.outputs[0]);
    if (mul < 0 || !is_op(editor.node(mul), "Mul")) continue;
    const std::optional<ValueId> scale = vector_beside(graph, editor.node(mul), div.outputs[0]);
    if (!scale) continue;
    std::vector<ValueId> inputs{pieces->x, *scale};
    const ValueId scaled = editor.node(mul).outputs[0];
    NodeId last = mul;
    const NodeId add = editor.only_reader(scaled);
    if (add >= 0 && is_op(editor.node(add), "Add"))
      if (const std::optional<ValueId> bias = vector_beside(graph, editor.node(add), scaled)) {
        inputs.push_back(*bias);
        last = add;
      }
    const Node end = editor.node(last);
    editor.replace(last,
                   make_node("LayerNormalization", end.name, inputs, end.outputs, {{"epsilon", pieces->epsilon}}));
    if (last != mul) editor.remove(mul);
    editor.remove(id);
    for (const NodeId node : pieces->nodes) editor.remove(node);
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
