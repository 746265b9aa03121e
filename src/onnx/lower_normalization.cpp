// LayerNormalization, an op of its own since opset 17, over the axes from `axis` to the last:
//   d = x - mean(x);  y = d / sqrt(mean(d * d) + epsilon) * scale + bias
// Source: ONNX operator LayerNormalization, opset 17, function body.

#include "onnx/lowering.h"

namespace octet {
namespace {

/// The normalized axes, counted from the back when axis is.
Result<std::vector<int64_t>> normalized(const Lowering& lowering, const Node& node) {
  const int64_t first = int_attribute(node, "axis", -1);
  const std::optional<Shape>& shape = lowering.graph().value(node.inputs[0]).shape;
  if (first >= 0 && !shape) return lowering.error(node, "the rank of its input is unknown, so that opset 17 is needed");
  const int64_t last = first < 0 ? -1 : static_cast<int64_t>(shape->size()) - 1;
  std::vector<int64_t> axes;
  for (int64_t axis = first; axis <= last; ++axis) axes.push_back(axis);
  return axes;
}

}  // namespace

Result<Done> lower_layer_normalization(Lowering& lowering, const Node& node) {
  if (node.outputs.size() > 1) return lowering.error(node, "mean and deviation are outputs, which needs opset 17");
  const Result<std::vector<int64_t>> axes = normalized(lowering, node);
  if (!axes) return axes.error();
  const ValueId x = node.inputs[0], y = node.outputs[0];
  const Result<ValueId> epsilon = lowering.real_constant(node, y, "epsilon", float_attribute(node, "epsilon", 1e-5f));
  if (!epsilon) return epsilon.error();
  const ValueId axes_id = lowering.ints_constant(y, "axes", *axes);
  const auto untyped = [&](std::string_view suffix) { return lowering.untyped_value(y, suffix); };
  const ValueId mean = untyped("mean"), variance = untyped("variance"), shifted = untyped("shifted");
  const ValueId deviation = untyped("deviation");
  const ValueId centred = lowering.value_like(y, "centred"), square = lowering.value_like(y, "square");
  const ValueId unit = lowering.value_like(y, "unit");
  const bool has_bias = node.inputs.size() > 2 && node.inputs[2] != k_absent;
  const ValueId scaled = has_bias ? lowering.value_like(y, "scaled") : y;
  struct Step {
    std::string_view op;
    std::vector<ValueId> inputs;
    ValueId output;
  };
  const Step steps[] = {{"ReduceMean", {x, axes_id}, mean},     {"Sub", {x, mean}, centred},
                        {"Mul", {centred, centred}, square},    {"ReduceMean", {square, axes_id}, variance},
                        {"Add", {variance, *epsilon}, shifted}, {"Sqrt", {shifted}, deviation},
                        {"Div", {centred, deviation}, unit},    {"Mul", {unit, node.inputs[1]}, scaled}};
  for (const Step& step : steps)
    if (Result<Done> ok = lowering.emit(step.op, "", step.inputs, step.output); !ok) return ok;
  return has_bias ? lowering.emit("Add", node.name, {scaled, node.inputs[2]}, y) : Result<Done>(Done{});
}

}  // namespace octet
