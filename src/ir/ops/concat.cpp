// Concat: inputs side by side along axis; all other extents are equal. Source: ONNX operator Concat, opset 13.
#include "ir/ops/common.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"axis"};

/// a and b joined along axis; an unknown extent on the axis makes the sum unknown.
Result<Shape> joined(const NodeContext& context, const Shape& a, const Shape& b, size_t axis) {
  const auto mismatch = [&] {
    return context.error("shapes " + to_string(a) + " and " + to_string(b) + " may differ only on axis " +
                         std::to_string(axis));
  };
  if (a.size() != b.size()) return mismatch();
  Shape out;
  for (size_t i = 0; i < a.size(); ++i) {
    if (i == axis) {
      // Each extent is at most 2^36 and the sum is checked after every step: no overflow.
      out.push_back(a[i].known() && b[i].known() ? Dim(a[i].value + b[i].value) : Dim());
      continue;
    }
    std::optional<Dim> d = unified_dim(a[i], b[i]);
    if (!d) return mismatch();
    out.push_back(std::move(*d));
  }
  if (out[axis].value > k_max_elements) return context.error("the result is too large: more than 2^36 elements");
  return out;
}

Result<Shape> concatenated(const NodeContext& context, std::span<const Shape> shapes) {
  if (!has_attribute(context.node, "axis")) return context.error("attribute 'axis' is missing, but it is required");
  Result<size_t> axis = normalized_axis(context, int_attribute(context.node, "axis", 0), shapes[0].size());
  if (!axis) return axis.error();
  Shape out = shapes[0];
  for (const Shape& shape : shapes.subspan(1)) {
    Result<Shape> sum = joined(context, out, shape, *axis);
    if (!sum) return sum;
    out = std::move(*sum);
  }
  return out;
}

Result<ValueTypes> infer(const NodeContext& context) {
  std::vector<Shape> shapes;
  for (size_t i = 0; i < context.input_count(); ++i) {
    if (Result<Done> ok = require_same_dtype(context, 0, i); !ok) return ok.error();
    if (context.shape(i)) shapes.push_back(*context.shape(i));
  }
  if (shapes.size() != context.input_count()) return typed(context);
  Result<Shape> shape = concatenated(context, shapes);
  if (!shape) return shape.error();
  return typed(context, std::move(*shape));
}

Result<Tensors> concat(const NodeContext& context, std::span<const Tensor> inputs) {
  std::vector<Shape> shapes;
  for (const Tensor& t : inputs) shapes.push_back(to_shape(t.dims()));
  Result<Shape> shape = concatenated(context, shapes);
  if (!shape) return shape.error();
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(inputs[0].dtype(), known_dims(*shape).value());
  if (!made) return made.error();
  const size_t axis = *normalized_axis(context, int_attribute(context.node, "axis", 0), shape->size());
  const int64_t rows = element_count(std::span(made->first.dims()).first(axis)).value_or(0);
  std::byte* to = made->second;
  if (made->first.size() == 0) return Tensors{std::move(made->first)};
  for (int64_t row = 0; row < rows; ++row) {
    for (const Tensor& t : inputs) {
      const size_t bytes = t.size_bytes() / static_cast<size_t>(rows);
      if (bytes == 0) continue;
      std::memcpy(to, t.bytes().data() + bytes * static_cast<size_t>(row), bytes);
      to += bytes;
    }
  }
  return Tensors{std::move(made->first)};
}

}  // namespace

const OpDef concat_op = {
    .name = "Concat",
    .min_inputs = 1,
    .max_inputs = -1,
    .attributes = k_attributes,
    .infer = infer,
    .reference = concat,
    .quant = {.role = QuantRole::shared_scale},
};

}  // namespace octet
