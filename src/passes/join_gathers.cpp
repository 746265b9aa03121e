// src/passes/join_gathers.cpp: Gathers along the channels of a Concat along them read the parts themselves
// (JoinedGather), where nothing else reads the concatenation: a channel shuffle of two branches moves each element
// once. A table that alone reads what is gathered is looked up on the way.

#include <algorithm>

#include "passes/match.h"
#include "passes/passes.h"

namespace octet {
namespace {

bool is_along_channels(const Graph& graph, const Node& node) {
  const std::optional<Shape>& shape = graph.value(node.outputs[0]).shape;
  const int64_t axis = int_attribute(node, "axis", 0);
  return shape && shape->size() == 4 && (axis == 1 || axis == -3);
}

bool may_read_parts(const Editor& editor, const Node& gather, ValueId concatenation) {
  const Graph& graph = editor.graph();
  if (!is_op(gather, "Gather") || gather.inputs[0] != concatenation || !is_along_channels(graph, gather)) return false;
  const Tensor* const indices = graph.constant(gather.inputs[1]);
  return indices && indices->dims().size() == 1;
}

bool may_vanish(const Editor& editor, const Node& concat) {
  const Graph& graph = editor.graph();
  const ValueId y = concat.outputs[0];
  const std::vector<NodeId>& readers = editor.readers(y);
  const auto most = static_cast<size_t>(find_op("JoinedGather")->max_inputs);
  return is_op(concat, "Concat") && concat.inputs.size() + 2 <= most && is_along_channels(graph, concat) &&
         !editor.is_output(y) && !readers.empty() &&
         (is_code(graph.value(y).dtype) || graph.value(y).dtype == DType::f32) &&
         std::all_of(readers.begin(), readers.end(),
                     [&](NodeId reader) { return may_read_parts(editor, editor.node(reader), y); });
}

/// The one reader of the codes when that is a QuantLookup of a constant table, else -1.
NodeId lookup_of(const Editor& editor, ValueId codes) {
  const NodeId reader = editor.only_reader(codes);
  if (reader < 0 || !is_op(editor.node(reader), "QuantLookup") || editor.node(reader).inputs[0] != codes) return -1;
  return editor.graph().constant(editor.node(reader).inputs[1]) ? reader : -1;
}

}  // namespace

Result<Changed> join_gathers(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (editor.gone(id) || !may_vanish(editor, editor.node(id))) continue;
    const Node concat = editor.node(id);
    const std::vector<NodeId> gathers = editor.readers(concat.outputs[0]);
    for (const NodeId at : gathers) {
      const Node gather = editor.node(at);
      const NodeId lookup = lookup_of(editor, gather.outputs[0]);
      std::vector<ValueId> inputs = {gather.inputs[1], lookup < 0 ? k_absent : editor.node(lookup).inputs[1]};
      inputs.insert(inputs.end(), concat.inputs.begin(), concat.inputs.end());
      const Node last = lookup < 0 ? gather : editor.node(lookup);
      editor.replace(lookup < 0 ? at : lookup,
                     make_node("JoinedGather", last.name, std::move(inputs), last.outputs, {{"axis", int64_t{1}}}));
      if (lookup >= 0) editor.remove(at);
    }
    editor.remove(id);
    changed.count += static_cast<int64_t>(gathers.size());
  }
  return changed;
}

}  // namespace octet
