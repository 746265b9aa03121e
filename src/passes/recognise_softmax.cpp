// src/passes/recognise_softmax.cpp: the pieces of Softmax and LogSoftmax along one axis,
//   d = x - ReduceMax(x);  e = Exp(d);  y = e / ReduceSum(e)   or   y = d - Log(ReduceSum(Exp(d)))
// become the op. Without the maximum the pieces overflow where the op does not, so they stay; so do pieces that others
// read too.

#include "passes/match.h"
#include "passes/passes.h"

namespace octet {
namespace {

/// The axis of a reduction over one axis that keeps it, counted from the front.
std::optional<int64_t> kept_axis(const Graph& graph, const Node& node) {
  const std::optional<Shape>& shape = graph.value(node.inputs[0]).shape;
  const std::optional<std::vector<int64_t>> axes = constant_ints(graph, input(node, 1));
  if (!shape || !axes || axes->size() != 1 || int_attribute(node, "keepdims", 1) == 0) return std::nullopt;
  return axes->front() < 0 ? axes->front() + static_cast<int64_t>(shape->size()) : axes->front();
}

struct Pieces {
  ValueId x = k_absent;
  int64_t axis = 0;
  std::vector<NodeId> nodes;
};

/// d = x - ReduceMax(x) that `readers` inputs read.
std::optional<Pieces> shifted(const Editor& editor, ValueId d, size_t readers) {
  const Graph& graph = editor.graph();
  const Node* sub = editor.producer(d, "Sub");
  const Node* max = sub ? editor.producer(sub->inputs[1], "ReduceMax") : nullptr;
  if (!max || max->inputs[0] != sub->inputs[0] || !editor.single_use(sub->inputs[1])) return std::nullopt;
  if (editor.readers(d).size() != readers || editor.is_output(d)) return std::nullopt;
  const std::optional<int64_t> axis = kept_axis(graph, *max);
  if (!axis || graph.value(sub->inputs[0]).dtype != DType::f32) return std::nullopt;
  return Pieces{sub->inputs[0], *axis, {editor.producer(d), editor.producer(sub->inputs[1])}};
}

/// e of ReduceSum(e) along the axis, a value of single use.
std::optional<ValueId> summed(const Editor& editor, ValueId sum, std::optional<int64_t>& axis) {
  const Node* reduce = editor.producer(sum, "ReduceSum");
  if (!reduce || !editor.single_use(sum)) return std::nullopt;
  axis = kept_axis(editor.graph(), *reduce);
  return axis ? std::optional(reduce->inputs[0]) : std::nullopt;
}

std::optional<Pieces> softmax_of(const Editor& editor, const Node& div) {
  std::optional<int64_t> axis;
  const ValueId e = div.inputs[0];
  if (summed(editor, div.inputs[1], axis) != e || editor.readers(e).size() != 2 || editor.is_output(e))
    return std::nullopt;
  const Node* exp = editor.producer(e, "Exp");
  std::optional<Pieces> pieces = exp ? shifted(editor, exp->inputs[0], 1) : std::nullopt;
  if (!pieces || pieces->axis != *axis) return std::nullopt;
  pieces->nodes.insert(pieces->nodes.end(), {editor.producer(e), editor.producer(div.inputs[1])});
  return pieces;
}

std::optional<Pieces> log_softmax_of(const Editor& editor, const Node& sub) {
  const Node* log = editor.producer(sub.inputs[1], "Log");
  if (!log || !editor.single_use(sub.inputs[1])) return std::nullopt;
  std::optional<int64_t> axis;
  const std::optional<ValueId> e = summed(editor, log->inputs[0], axis);
  const Node* exp = e ? editor.producer(*e, "Exp") : nullptr;
  if (!exp || !editor.single_use(*e) || exp->inputs[0] != sub.inputs[0]) return std::nullopt;
  std::optional<Pieces> pieces = shifted(editor, sub.inputs[0], 2);
  if (!pieces || pieces->axis != *axis) return std::nullopt;
  pieces->nodes.insert(pieces->nodes.end(),
                       {editor.producer(sub.inputs[1]), editor.producer(log->inputs[0]), editor.producer(*e)});
  return pieces;
}

}  // namespace

Result<Changed> recognise_softmax(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (editor.gone(id) || !is_any(editor.node(id), {"Div", "Sub"})) continue;
    const Node last = editor.node(id);
    const bool is_softmax = is_op(last, "Div");
    const std::optional<Pieces> pieces = is_softmax ? softmax_of(editor, last) : log_softmax_of(editor, last);
    if (!pieces) continue;
    editor.replace(id, make_node(is_softmax ? "Softmax" : "LogSoftmax", last.name, {pieces->x}, last.outputs,
                                 {{"axis", pieces->axis}}));
    for (const NodeId part : pieces->nodes) editor.remove(part);
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
