// src/passes/normalise_reshape.cpp: one spelling for "all but the leading axis flattened": Flatten(axis = 1).
// Reshape to [1, -1] of a batch of one, to [-1, C] or [0, -1], Squeeze of [N, C, 1, 1] and Flatten mean the same where
// the leading extent is kept; the spelling that does not name the batch lets it grow.

#include "passes/match.h"
#include "passes/passes.h"

namespace octet {
namespace {

/// Product of the extents behind the leading one, or -1 when one is unknown.
int64_t inner_size(const Shape& shape) {
  int64_t product = 1;
  for (size_t i = 1; i < shape.size(); ++i) {
    if (!shape[i].known()) return -1;
    product *= shape[i].value;
  }
  return product;
}

/// [0, ...] copies the leading extent of x.
bool copies_leading(const Graph& graph, const Node& node) {
  if (!is_op(node, "Reshape") || int_attribute(node, "allowzero", 0) != 0) return false;
  const std::optional<std::vector<int64_t>> shape = constant_ints(graph, input(node, 1));
  return shape && shape->size() == 2 && shape->front() == 0;
}

bool flattens(const Graph& graph, const Node& node) {
  const Value &x = graph.value(node.inputs[0]), &y = graph.value(node.outputs[0]);
  if (!x.shape || !y.shape || x.shape->size() < 2 || y.shape->size() != 2) return false;
  if (is_op(node, "Flatten")) return false;  // axis 1 is the form itself; another axis that gives it is rare
  if (copies_leading(graph, node)) return true;
  const Dim &n = x.shape->front(), &m = y.shape->front();
  const int64_t inner = inner_size(*x.shape);
  if (n.known() && m.known()) return n.value == m.value && n.value > 0;
  // Equal element counts: the leading extents agree when the rest does.
  return inner > 0 && (*y.shape)[1].known() && (*y.shape)[1].value == inner && n.known() == m.known();
}

}  // namespace

Result<Changed> normalise_reshape(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    const Node& node = editor.node(id);
    if (!is_any(node, {"Reshape", "Squeeze"}) || !flattens(graph, node)) continue;
    editor.replace(id, make_node("Flatten", node.name, {node.inputs[0]}, {node.outputs[0]}, {{"axis", int64_t{1}}}));
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
