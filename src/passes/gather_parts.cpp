// src/passes/gather_parts.cpp: slices of what a Gather makes, along its axis, are Gathers of as many indices, where
// nothing else reads it: the halves of a channel shuffle are gathered each for itself. On codes and on floats.

#include <algorithm>

#include "passes/match.h"
#include "passes/passes.h"

namespace octet {
namespace {

/// An axis attribute or input from the front; nothing where the rank is not known.
std::optional<int64_t> axis_from_front(const Value& value, int64_t axis) {
  if (!value.shape) return std::nullopt;
  return axis < 0 ? axis + static_cast<int64_t>(value.shape->size()) : axis;
}

/// Is this a Slice or a Split along the axis and no other, by constants, that makes all its outputs?
bool is_along(const Graph& graph, const Node& reader, int64_t axis) {
  const Value& from = graph.value(reader.inputs[0]);
  for (size_t i = 1; i < reader.inputs.size(); ++i)
    if (reader.inputs[i] != k_absent && !graph.constant(reader.inputs[i])) return false;
  if (std::find(reader.outputs.begin(), reader.outputs.end(), k_absent) != reader.outputs.end()) return false;
  if (is_op(reader, "Split")) return axis_from_front(from, int_attribute(reader, "axis", 0)) == axis;
  if (!is_op(reader, "Slice") || graph.constant(reader.inputs[1])->size() != 1) return false;
  const int64_t cut = input(reader, 3) == k_absent ? 0 : constant_ints(graph, reader.inputs[3])->at(0);
  return axis_from_front(from, cut) == axis;
}

/// What each output of a reader takes of the indices, by its own reference kernel; none where that is not known.
std::vector<Tensor> parts_of(const Graph& graph, const Node& reader, int64_t axis, const Tensor& indices) {
  if (!is_along(graph, reader, axis)) return {};
  Dims dims(graph.value(reader.inputs[0]).shape->size(), 1);
  dims[static_cast<size_t>(axis)] = indices.size();
  std::vector<Tensor> inputs = {indices.reshaped(dims)};
  for (size_t i = 1; i < reader.inputs.size(); ++i)
    inputs.push_back(reader.inputs[i] == k_absent ? Tensor() : *graph.constant(reader.inputs[i]));
  Result<std::vector<Tensor>> taken = reader.op->reference(NodeContext{graph, reader}, inputs);
  if (!taken) return {};
  for (Tensor& part : *taken) {
    if (part.size() == 0) return {};
    part = part.reshaped({part.size()});
  }
  return *std::move(taken);
}

/// All readers' parts, or nothing.
std::vector<std::vector<Tensor>> parts_of_readers(const Editor& editor, const Node& gather) {
  const Graph& graph = editor.graph();
  const ValueId y = gather.outputs[0];
  const Tensor* const indices = graph.constant(gather.inputs[1]);
  const std::optional<int64_t> axis = axis_from_front(graph.value(gather.inputs[0]), int_attribute(gather, "axis", 0));
  if (!indices || indices->rank() != 1 || !axis || !graph.value(y).shape || editor.is_output(y)) return {};
  std::vector<std::vector<Tensor>> all;
  for (const NodeId reader : editor.readers(y)) {
    if (editor.node(reader).inputs[0] != y) return {};
    all.push_back(parts_of(graph, editor.node(reader), *axis, *indices));
    if (all.back().empty()) return {};
  }
  return all;
}

}  // namespace

Result<Changed> gather_parts(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (editor.gone(id) || !is_op(editor.node(id), "Gather")) continue;
    const Node gather = editor.node(id);
    const std::vector<NodeId> readers = editor.readers(gather.outputs[0]);
    const std::vector<std::vector<Tensor>> parts = parts_of_readers(editor, gather);
    for (size_t r = 0; r < parts.size(); ++r) {
      const Node reader = editor.node(readers[r]);
      for (size_t i = 0; i < parts[r].size(); ++i) {
        const ValueId y = reader.outputs[i];
        const ValueId taken = editor.add_constant(graph.value(y).name + "_indices", parts[r][i]);
        const bool is_last = i + 1 == parts[r].size();
        Node part = make_node("Gather", is_last ? reader.name : unique_node_name(graph, reader.name),
                              {gather.inputs[0], taken}, {y}, gather.attributes);
        if (is_last)
          editor.replace(readers[r], std::move(part));
        else
          editor.insert_before(readers[r], std::move(part));
      }
    }
    if (parts.empty()) continue;
    editor.remove(id);
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
