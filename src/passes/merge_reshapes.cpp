// src/passes/merge_reshapes.cpp: two nodes that only change the shape (Reshape, Flatten, Squeeze, Unsqueeze) with
// nothing but element-wise ops between them are one Reshape, or none where the shape comes back. The new target has
// constant extents; one that is not known is copied from x (0) or found by division (-1). Nothing is done where the
// result's shape would be less known than before. Each rewrite leaves one such node less.

#include <algorithm>

#include "passes/element_chain.h"
#include "passes/passes.h"

namespace octet {
namespace {

bool is_reshape(const Node& node) { return is_any(node, {"Reshape", "Flatten", "Squeeze", "Unsqueeze"}); }

/// Row-major order of equal element counts: at most one pair of extents that is not known to be equal is equal too.
bool comes_back(const Shape& x, const Shape& y) {
  if (x.size() != y.size()) return false;
  int open = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    if (x[i].known() && y[i].known()) {
      if (x[i].value != y[i].value || x[i].value == 0) return false;
    } else if (!(x[i] == y[i]) || x[i].symbol.empty()) {
      ++open;
    }
  }
  return open <= 1;
}

/// The constant that turns x into y; nothing when two extents are open or one is 0.
std::optional<std::vector<int64_t>> target_of(const Shape& x, const Shape& y) {
  std::vector<int64_t> target;
  int open = 0;
  for (size_t i = 0; i < y.size(); ++i) {
    const bool copied = !y[i].known() && !y[i].symbol.empty() && i < x.size() && x[i] == y[i];
    if (y[i].known() && y[i].value == 0) return std::nullopt;
    if (!y[i].known() && !copied) ++open;
    target.push_back(y[i].known() ? y[i].value : copied ? 0 : -1);
  }
  return open <= 1 ? std::optional(target) : std::nullopt;
}

/// Element-wise ops on another shape: constants of one element fit any.
void work_on(Editor& editor, const ElementChain& chain, ValueId x) {
  for (const NodeId id : chain.nodes)
    editor.graph().value(editor.node(id).outputs[0]).shape = editor.graph().value(x).shape;
  const NodeId first = chain.nodes.front();
  editor.set_input(first, *element_input(editor.graph(), editor.node(first)), x);
}

bool merge_with_one_above(Editor& editor, NodeId id) {
  Graph& graph = editor.graph();
  const Node last = editor.node(id);
  const std::optional<ElementChain> chain =
      chain_up(editor, last.inputs[0], {"Reshape", "Flatten", "Squeeze", "Unsqueeze"},
               [&](const Node& node) { return has_scalar_constants(graph, node); });
  if (!chain) return false;
  const ValueId x = editor.node(chain->above).inputs[0], y = last.outputs[0];
  if (graph.constant(x) || !graph.value(x).shape || !graph.value(y).shape) return false;
  const Shape from = *graph.value(x).shape, to = *graph.value(y).shape;
  const ValueId end = chain->nodes.empty() ? x : last.inputs[0];
  if (comes_back(from, to) && !(editor.is_output(y) && end == x && editor.is_input(x))) {
    if (!chain->nodes.empty()) work_on(editor, *chain, x);
    if (!editor.replace_uses(y, end)) {
      editor.replace(id, make_node("Identity", last.name, {end}, {y}));
    } else {
      editor.remove(id);
    }
    editor.remove(chain->above);
    return true;
  }
  const std::optional<std::vector<int64_t>> target = target_of(from, to);
  if (!target) return false;
  const ValueId shape =
      editor.add_constant(graph.value(y).name + "_shape", s64_tensor({static_cast<int64_t>(target->size())}, *target));
  const Node merged = make_node("Reshape", last.name, {x, shape}, {y});
  const Result<std::vector<ValueType>> inferred = infer_node(graph, merged);
  if (!inferred || inferred->front().shape != graph.value(y).shape) return false;
  if (!chain->nodes.empty()) work_on(editor, *chain, x);
  editor.replace(id, make_node("Reshape", last.name, {end, shape}, {y}));
  editor.remove(chain->above);
  return true;
}

}  // namespace

Result<Changed> merge_reshapes(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id)
    if (!editor.gone(id) && is_reshape(editor.node(id)) && merge_with_one_above(editor, id)) ++changed.count;
  return changed;
}

}  // namespace octet
