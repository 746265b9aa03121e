// src/passes/recognise_hard_sigmoid.cpp: clip(x + 3, 0, 6) / 6 is HardSigmoid(alpha = 1/6, beta = 1/2), written as Div
// by 6 or Mul by 1/6. Also Clip(x, 0) without an upper bound is Relu. Source: arXiv:1905.02244, section 5.2.

#include <limits>

#include "passes/match.h"
#include "passes/passes.h"

namespace octet {
namespace {

/// The operand beside a constant scalar `wanted` in a commuting node, or k_absent.
ValueId beside_scalar(const Graph& graph, const Node& node, double wanted) {
  if (is_scalar(graph, node.inputs[1], wanted)) return node.inputs[0];
  return is_scalar(graph, node.inputs[0], wanted) ? node.inputs[1] : k_absent;
}

bool keeps_shape(const Graph& graph, ValueId x, ValueId y) { return same_shape(graph.value(x), graph.value(y)); }

/// The x of clip(x + 3, 0, 6) whose result is v, or k_absent.
ValueId relu6_argument(const Editor& editor, ValueId v) {
  const Graph& graph = editor.graph();
  const Node* clip = editor.producer(v, "Clip");
  if (!clip || !editor.single_use(v)) return k_absent;
  const std::optional<float> lo = scalar_constant(graph, input(*clip, 1));
  if (!lo || *lo != 0.0f || !is_scalar(graph, input(*clip, 2), 6.0)) return k_absent;
  const Node* add = editor.producer(clip->inputs[0], "Add");
  if (!add || !editor.single_use(clip->inputs[0])) return k_absent;
  const ValueId x = beside_scalar(graph, *add, 3.0);
  return x != k_absent && keeps_shape(graph, x, add->outputs[0]) ? x : k_absent;
}

bool recognise(Editor& editor, NodeId id) {
  const Graph& graph = editor.graph();
  const Node node = editor.node(id);
  ValueId sixfold = k_absent;
  if (is_op(node, "Div") && is_scalar(graph, node.inputs[1], 6.0)) sixfold = node.inputs[0];
  if (is_op(node, "Mul")) sixfold = beside_scalar(graph, node, 1.0 / 6.0);
  const ValueId x = sixfold == k_absent ? k_absent : relu6_argument(editor, sixfold);
  if (x == k_absent || !keeps_shape(graph, x, node.outputs[0])) return false;
  const Node* clip = editor.producer(sixfold, "Clip");
  const NodeId add = editor.producer(clip->inputs[0]);
  editor.replace(id, make_node("HardSigmoid", node.name, {x}, node.outputs, {{"alpha", 1.0f / 6.0f}, {"beta", 0.5f}}));
  editor.remove(editor.producer(sixfold));
  editor.remove(add);
  return true;
}

bool clip_is_relu(const Graph& graph, const Node& node) {
  if (!is_op(node, "Clip") || graph.value(node.inputs[0]).dtype != DType::f32) return false;
  const std::optional<float> lo = scalar_constant(graph, input(node, 1));
  if (!lo || *lo != 0.0f) return false;
  if (input(node, 2) == k_absent) return true;
  const std::optional<float> hi = scalar_constant(graph, input(node, 2));
  return hi && *hi >= std::numeric_limits<float>::max();
}

}  // namespace

Result<Changed> recognise_hard_sigmoid(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (editor.gone(id)) continue;
    if (clip_is_relu(graph, editor.node(id))) {
      const Node clip = editor.node(id);
      editor.replace(id, make_node("Relu", clip.name, {clip.inputs[0]}, clip.outputs));
      ++changed.count;
    } else if (recognise(editor, id)) {
      ++changed.count;
    }
  }
  return changed;
}

}  // namespace octet
