// Split below opset 18 has no num_outputs: it cuts evenly, or takes sizes. Uneven parts get their sizes as a constant:
// ceil(extent / parts) each, the rest in the last. Source: ONNX operator Split, opsets 13 and 18.

#include "onnx/lowering.h"

namespace octet {

std::optional<int64_t> split_extent(const Graph& graph, const Node& node) {
  const std::optional<Shape>& shape = graph.value(node.inputs[0]).shape;
  if (!shape) return std::nullopt;
  int64_t axis = int_attribute(node, "axis", 0);
  if (axis < 0) axis += static_cast<int64_t>(shape->size());
  if (axis < 0 || axis >= static_cast<int64_t>(shape->size())) return std::nullopt;
  const Dim& extent = (*shape)[static_cast<size_t>(axis)];
  return extent.known() ? std::optional(extent.value) : std::nullopt;
}

Result<Done> lower_split(Lowering& lowering, const Node& node) {
  Node lowered = node;
  const bool has_sizes = node.inputs.size() > 1 && node.inputs[1] != k_absent;
  const auto parts = static_cast<int64_t>(node.outputs.size());
  const std::optional<int64_t> extent = split_extent(lowering.graph(), node);
  if (!has_sizes && extent && *extent % parts != 0) {
    const int64_t each = *extent / parts + 1;
    std::vector<int64_t> sizes(static_cast<size_t>(parts), each);
    sizes.back() = *extent - each * (parts - 1);
    lowered.inputs.resize(1);
    lowered.inputs.push_back(lowering.ints_constant(node.outputs[0], "split", sizes));
    lowered.attributes.erase("num_outputs");
  }
  return lowering.keep(std::move(lowered));
}

}  // namespace octet
