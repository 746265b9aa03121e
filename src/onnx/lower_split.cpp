// Split below opset 18 has no num_outputs: it cuts evenly, or takes sizes. Uneven parts get their sizes as a constant:
// ceil(extent / parts) each, the rest in the last. Source: ONNX operator Split, opsets 13 and 18.

#include "onnx/lowering.h"

namespace octet {

std::optional<int64_t> extent_of(const Shape& shape, int64_t axis) {
  const auto rank = static_cast<int64_t>(shape.size());
  if (axis < 0) axis += rank;
  if (axis < 0 || axis >= rank) return std::nullopt;
  const Dim& extent = shape[static_cast<size_t>(axis)];
  return extent.known() ? std::optional(extent.value) : std::nullopt;
}

bool may_be_uneven(const Graph& graph, const Node& node) {
  const bool has_sizes = node.inputs.size() > 1 && node.inputs[1] != k_absent;
  if (has_sizes || !has_attribute(node, "num_outputs")) return false;
  const std::optional<Shape>& shape = graph.value(node.inputs[0]).shape;
  const std::optional<int64_t> extent = shape ? extent_of(*shape, int_attribute(node, "axis", 0)) : std::nullopt;
  return !extent || *extent % static_cast<int64_t>(node.outputs.size()) != 0;
}

Result<Done> lower_split(Lowering& lowering, const Node& node) {
  Node lowered = node;
  if (!may_be_uneven(lowering.graph(), node)) return lowering.keep(std::move(lowered));
  const auto parts = static_cast<int64_t>(node.outputs.size());
  const std::optional<Shape>& shape = lowering.graph().value(node.inputs[0]).shape;
  const std::optional<int64_t> extent = shape ? extent_of(*shape, int_attribute(node, "axis", 0)) : std::nullopt;
  if (!extent) return lowering.error(node, "the extent it cuts is unknown, so that opset 18 is needed");
  const int64_t each = *extent / parts + 1;
  std::vector<int64_t> sizes(static_cast<size_t>(parts), each);
  sizes.back() = *extent - each * (parts - 1);
  lowered.inputs.resize(1);
  lowered.inputs.push_back(lowering.ints_constant(node.outputs[0], "split", sizes));
  lowered.attributes.erase("num_outputs");
  return lowering.keep(std::move(lowered));
}

}  // namespace octet
