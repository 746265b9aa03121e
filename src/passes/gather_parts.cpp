// src/passes/gather_parts.cpp: slices of what a Gather makes, along its axis, are Gathers of as many indices, where
// nothing else reads it: the halves of a channel shuffle are gathered each for itself. On codes and on floats.

#include <algorithm>
#include <cstdlib>

#include "passes/match.h"
#include "passes/passes.h"

namespace octet {
namespace {

using Indices = std::vector<int64_t>;

/// An axis attribute or input from the front; nothing where the rank is not known.
std::optional<int64_t> axis_from_front(const Value& value, int64_t axis) {
  if (!value.shape) return std::nullopt;
  return axis < 0 ? axis + static_cast<int64_t>(value.shape->size()) : axis;
}

/// Numbers start, start + step, ... up to end of a Slice of n entries (ONNX operator Slice, opset 13).
Indices sliced(const Indices& all, int64_t start, int64_t end, int64_t step) {
  const auto n = static_cast<int64_t>(all.size());
  const bool forwards = step > 0;
  const auto bound = [&](int64_t at) {
    return std::clamp<int64_t>(at < 0 ? at + n : at, forwards ? 0 : -1, forwards ? n : n - 1);
  };
  const int64_t stride = std::clamp<int64_t>(step, -n - 1, n + 1);
  Indices part;
  for (int64_t i = bound(start); forwards ? i < bound(end) : i > bound(end); i += stride)
    part.push_back(all[static_cast<size_t>(i)]);
  return part;
}

/// What each output of a reader takes of the indices; nothing where it is no Slice or Split along the axis.
std::optional<std::vector<Indices>> parts_of(const Graph& graph, const Node& reader, int64_t axis, const Indices& all) {
  const Value& from = graph.value(reader.inputs[0]);
  if (is_op(reader, "Slice")) {
    const std::optional<Indices> starts = constant_ints(graph, input(reader, 1)),
                                 ends = constant_ints(graph, input(reader, 2));
    const std::optional<Indices> axes =
        input(reader, 3) == k_absent ? Indices{0} : constant_ints(graph, reader.inputs[3]);
    const std::optional<Indices> steps =
        input(reader, 4) == k_absent ? Indices{1} : constant_ints(graph, reader.inputs[4]);
    for (const std::optional<Indices>* one : {&starts, &ends, &axes, &steps})
      if (!*one || (*one)->size() != 1) return std::nullopt;
    if (axis_from_front(from, axes->front()) != axis || steps->front() == 0) return std::nullopt;
    return std::vector<Indices>{sliced(all, starts->front(), ends->front(), steps->front())};
  }
  if (!is_op(reader, "Split") || axis_from_front(from, int_attribute(reader, "axis", 0)) != axis) return std::nullopt;
  std::vector<Indices> parts;
  auto next = all.begin();
  for (const ValueId y : reader.outputs) {
    const int64_t count = y == k_absent ? -1 : extent(graph.value(y), static_cast<size_t>(axis));
    if (count < 0 || count > all.end() - next) return std::nullopt;
    parts.emplace_back(next, next + count);
    next += count;
  }
  return parts;
}

/// All readers' parts, or nothing.
std::vector<std::vector<Indices>> parts_of_readers(const Editor& editor, const Node& gather) {
  const Graph& graph = editor.graph();
  const ValueId y = gather.outputs[0];
  const std::optional<Indices> indices = constant_ints(graph, gather.inputs[1]);
  const std::optional<int64_t> axis = axis_from_front(graph.value(gather.inputs[0]), int_attribute(gather, "axis", 0));
  if (!indices || graph.constant(gather.inputs[1])->dims().size() != 1 || !axis || editor.is_output(y)) return {};
  std::vector<std::vector<Indices>> all;
  for (const NodeId reader : editor.readers(y)) {
    if (editor.node(reader).inputs[0] != y) return {};
    std::optional<std::vector<Indices>> parts = parts_of(graph, editor.node(reader), *axis, *indices);
    if (!parts) return {};
    for (const Indices& part : *parts)
      if (part.empty()) return {};
    all.push_back(std::move(*parts));
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
    const std::vector<std::vector<Indices>> parts = parts_of_readers(editor, gather);
    for (size_t r = 0; r < parts.size(); ++r) {
      const Node reader = editor.node(readers[r]);
      for (size_t i = 0; i < parts[r].size(); ++i) {
        const ValueId y = reader.outputs[i];
        const ValueId taken = editor.add_constant(graph.value(y).name + "_indices",
                                                  s64_tensor({static_cast<int64_t>(parts[r][i].size())}, parts[r][i]));
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
