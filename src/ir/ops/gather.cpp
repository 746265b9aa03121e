// Gather(x, indices): y = x with its axis replaced by the extents of indices; negative indices count from the end.
// Source: ONNX operator Gather, opset 13.
#include "ir/ops/common.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"axis"};

template <class T>
std::vector<T> with_axis_replaced(const std::vector<T>& x, size_t axis, const std::vector<T>& indices) {
  const auto at = x.begin() + static_cast<std::ptrdiff_t>(axis);
  std::vector<T> out(x.begin(), at);
  out.insert(out.end(), indices.begin(), indices.end());
  out.insert(out.end(), at + 1, x.end());
  return out;
}

Result<ValueTypes> infer(const NodeContext& context) {
  if (context.dtype(1) != DType::s64 && context.dtype(1) != DType::s32)
    return context.error("indices are " + std::string(name(context.dtype(1))) + ", expected s64 or s32");
  if (!context.shape(0) || !context.shape(1)) return typed(context);
  Result<size_t> axis = normalized_axis(context, int_attribute(context.node, "axis", 0), context.shape(0)->size());
  if (!axis) return axis.error();
  return typed(context, with_axis_replaced(*context.shape(0), *axis, *context.shape(1)));
}

Result<Tensors> gather(const NodeContext& context, std::span<const Tensor> inputs) {
  const Tensor& x = inputs[0];
  Result<std::vector<int64_t>> indices = ints_of(context, inputs, 1);
  if (!indices) return indices.error();
  Result<size_t> axis = normalized_axis(context, int_attribute(context.node, "axis", 0), x.rank());
  if (!axis) return axis.error();
  const int64_t extent = x.dims()[*axis];
  for (int64_t& i : *indices) {
    if (i < -extent || i >= extent)
      return context.error("index " + std::to_string(i) + " is out of range for the extent " + std::to_string(extent));
    if (i < 0) i += extent;
  }
  Result<std::pair<Tensor, std::byte*>> made =
      Tensor::allocate(x.dtype(), with_axis_replaced(x.dims(), *axis, inputs[1].dims()));
  if (!made) return made.error();
  if (made->first.size() == 0) return Tensors{std::move(made->first)};
  const std::span<const int64_t> dims(x.dims());
  const int64_t rows = *element_count(dims.first(*axis));
  const size_t block = static_cast<size_t>(*element_count(dims.subspan(*axis + 1))) * size_of(x.dtype());
  std::byte* to = made->second;
  for (int64_t row = 0; row < rows; ++row) {
    for (const int64_t i : *indices) {
      std::memcpy(to, x.bytes().data() + static_cast<size_t>(row * extent + i) * block, block);
      to += block;
    }
  }
  return Tensors{std::move(made->first)};
}

}  // namespace

const OpDef gather_op = {
    .name = "Gather",
    .min_inputs = 2,
    .max_inputs = 2,
    .attributes = k_attributes,
    .infer = infer,
    .reference = gather,
    .quant = {.role = QuantRole::same_scale},
};

}  // namespace octet
