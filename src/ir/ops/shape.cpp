// Shape: the extents [start, end) of x as s64[n]. Size: the number of elements as s64[].
// Source: ONNX operators Shape, opset 15 (start and end), and Size, opset 13.
#include <algorithm>

#include "ir/ops/common.h"

namespace octet {
namespace {

constexpr std::string_view k_shape_attributes[] = {"start", "end"};

/// start and end clamped to [0, rank]; an empty range when they cross.
std::pair<int64_t, int64_t> range_of(const NodeContext& context, size_t rank) {
  const auto r = static_cast<int64_t>(rank);
  const auto clamped = [&](int64_t v) { return std::clamp<int64_t>(v < 0 ? v + r : v, 0, r); };
  const int64_t start = clamped(int_attribute(context.node, "start", 0));
  return {start, std::max(start, clamped(int_attribute(context.node, "end", r)))};
}

Result<ValueTypes> infer_shape(const NodeContext& context) {
  Dim count;
  if (const std::optional<Shape>& shape = context.shape(0)) {
    const auto [start, end] = range_of(context, shape->size());
    count = Dim(end - start);
  }
  return ValueTypes{{DType::s64, Shape{count}}};
}

Result<Tensors> shape_of(const NodeContext& context, std::span<const Tensor> inputs) {
  const Dims& dims = inputs[0].dims();
  const auto [start, end] = range_of(context, dims.size());
  return Tensors{
      s64_tensor({end - start}, std::span(dims).subspan(static_cast<size_t>(start), static_cast<size_t>(end - start)))};
}

Result<ValueTypes> infer_size(const NodeContext&) { return ValueTypes{{DType::s64, Shape{}}}; }

Result<Tensors> size_of_tensor(const NodeContext&, std::span<const Tensor> inputs) {
  const int64_t size = inputs[0].size();
  return Tensors{s64_tensor({}, std::span(&size, 1))};
}

}  // namespace

const OpDef shape_op = {.name = "Shape", .attributes = k_shape_attributes, .infer = infer_shape, .reference = shape_of};

const OpDef size_op = {.name = "Size", .infer = infer_size, .reference = size_of_tensor};

}  // namespace octet
