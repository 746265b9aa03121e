// Flatten: [d0 * ... * d(axis-1), d(axis) * ...], an empty product being 1. Source: ONNX operator Flatten, opset 13.
#include "ir/ops/common.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"axis"};

Result<Shape> flattened(const NodeContext& context, const Shape& x) {
  const auto rank = static_cast<int64_t>(x.size());
  int64_t axis = int_attribute(context.node, "axis", 1);
  if (axis < -rank || axis > rank)
    return context.error("axis " + std::to_string(axis) + " is out of range for the input " + to_string(x));
  if (axis < 0) axis += rank;
  const std::span<const Dim> dims(x);
  Result<Dim> rows = product(context, dims.first(static_cast<size_t>(axis)));
  if (!rows) return rows.error();
  Result<Dim> columns = product(context, dims.subspan(static_cast<size_t>(axis)));
  if (!columns) return columns.error();
  return Shape{std::move(*rows), std::move(*columns)};
}

Result<ValueTypes> infer(const NodeContext& context) {
  if (!context.shape(0)) return typed(context, Shape(2));
  Result<Shape> shape = flattened(context, *context.shape(0));
  if (!shape) return shape.error();
  return typed(context, std::move(*shape));
}

Result<Tensors> flatten(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<Shape> shape = flattened(context, to_shape(inputs[0].dims()));
  if (!shape) return shape.error();
  return Tensors{inputs[0].reshaped(known_dims(*shape).value())};
}

}  // namespace

const OpDef flatten_op = {
    .name = "Flatten",
    .attributes = k_attributes,
    .infer = infer,
    .reference = flatten,
    .quant = {.role = QuantRole::same_scale},
};

}  // namespace octet
