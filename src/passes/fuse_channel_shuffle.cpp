// src/passes/fuse_channel_shuffle.cpp: a channel shuffle, written as Reshape [N,g,c,H,W], Transpose of g and c, Reshape
// [N,g*c,H,W], is one Gather along the channels: y channel j * g + i is x channel i * c + j. On codes and on floats.

#include "passes/match.h"
#include "passes/passes.h"

namespace octet {
namespace {

/// The extents of a value of this rank behind its batch; nothing when one of them is not known.
std::optional<Dims> extents_behind_batch(const Graph& graph, ValueId v, size_t rank) {
  const std::optional<Shape>& shape = graph.value(v).shape;
  if (!shape || shape->size() != rank) return std::nullopt;
  Dims dims;
  for (size_t i = 1; i < rank; ++i) {
    if (!(*shape)[i].known()) return std::nullopt;
    dims.push_back((*shape)[i].value);
  }
  return dims;
}

bool is_same_batch(const Graph& graph, ValueId a, ValueId b) {
  const Dim &m = (*graph.value(a).shape)[0], &n = (*graph.value(b).shape)[0];
  return m.known() ? m.value == n.value : m == n && !m.symbol.empty();
}

/// Channel order of the shuffle that ends in this Reshape of x; nothing when it is none.
std::optional<std::vector<int64_t>> shuffled_channels(const Editor& editor, const Node& last, ValueId& x) {
  const Graph& graph = editor.graph();
  const Node* const turn = editor.producer(last.inputs[0], "Transpose");
  if (!turn || !editor.single_use(last.inputs[0]) || !editor.single_use(turn->inputs[0])) return std::nullopt;
  if (ints_attribute(*turn, "perm", {}) != std::vector<int64_t>{0, 2, 1, 3, 4}) return std::nullopt;
  const Node* const first = editor.producer(turn->inputs[0], "Reshape");
  if (!first) return std::nullopt;
  x = first->inputs[0];
  const std::optional<Dims> before = extents_behind_batch(graph, x, 4),
                            after = extents_behind_batch(graph, last.outputs[0], 4),
                            apart = extents_behind_batch(graph, first->outputs[0], 5);
  if (!before || !after || !apart || *before != *after || graph.constant(x)) return std::nullopt;
  const int64_t groups = (*apart)[0], each = (*apart)[1];
  if (groups * each != (*before)[0] || (*apart)[2] != (*before)[1] || (*apart)[3] != (*before)[2]) return std::nullopt;
  if (!is_same_batch(graph, x, last.outputs[0]) || !is_same_batch(graph, x, first->outputs[0])) return std::nullopt;
  std::vector<int64_t> channels;
  for (int64_t j = 0; j < each; ++j)
    for (int64_t i = 0; i < groups; ++i) channels.push_back(i * each + j);
  return channels;
}

}  // namespace

Result<Changed> fuse_channel_shuffle(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (editor.gone(id) || !is_op(editor.node(id), "Reshape")) continue;
    const Node last = editor.node(id);
    ValueId x = k_absent;
    const std::optional<std::vector<int64_t>> channels = shuffled_channels(editor, last, x);
    if (!channels) continue;
    const ValueId order = editor.add_constant(graph.value(last.outputs[0]).name + "_channels",
                                              s64_tensor({static_cast<int64_t>(channels->size())}, *channels));
    const NodeId turn = editor.producer(last.inputs[0]), first = editor.producer(editor.node(turn).inputs[0]);
    editor.replace(id, make_node("Gather", last.name, {x, order}, last.outputs, {{"axis", int64_t{1}}}));
    editor.remove(turn);
    editor.remove(first);
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
