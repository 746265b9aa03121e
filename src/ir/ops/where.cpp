// Where(condition, x, y): x where the condition holds, else y; all three broadcast. Source: ONNX operator Where,
// opset 16.
#include "ir/ops/common.h"

namespace octet {
namespace {

Result<ValueTypes> infer(const NodeContext& context) {
  if (context.dtype(0) != DType::boolean)
    return context.error("the condition is " + std::string(name(context.dtype(0))) + ", expected bool");
  if (Result<Done> ok = require_same_dtype(context, 1, 2); !ok) return ok.error();
  std::optional<Shape> shape;
  if (context.shape(0) && context.shape(1) && context.shape(2)) {
    Result<Shape> chosen = broadcast_shapes(context, *context.shape(1), *context.shape(2));
    if (!chosen) return chosen.error();
    Result<Shape> all = broadcast_shapes(context, *context.shape(0), *chosen);
    if (!all) return all.error();
    shape = std::move(*all);
  }
  return ValueTypes{{context.dtype(1), std::move(shape)}};
}

Result<Tensors> where(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<Dims> dims = broadcast_dims(context, inputs[1].dims(), inputs[2].dims());
  if (!dims) return dims.error();
  dims = broadcast_dims(context, inputs[0].dims(), *dims);
  if (!dims) return dims.error();
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(inputs[1].dtype(), *dims);
  if (!made) return made.error();
  std::array<std::vector<int64_t>, 3> strides;
  for (size_t k = 0; k < 3; ++k) strides[k] = broadcast_strides(inputs[k].dims(), *dims);
  const std::span<const std::byte> condition = inputs[0].bytes();
  const size_t width = size_of(inputs[1].dtype());
  std::byte* y = made->second;
  for_each_index<3>(*dims, strides, [&](int64_t i, const std::array<int64_t, 3>& at) {
    const size_t chosen = condition[static_cast<size_t>(at[0])] != std::byte{0} ? 1 : 2;
    std::memcpy(y + static_cast<size_t>(i) * width,
                inputs[chosen].bytes().data() + static_cast<size_t>(at[chosen]) * width, width);
  });
  return Tensors{std::move(made->first)};
}

}  // namespace

const OpDef where_op = {.name = "Where", .min_inputs = 3, .max_inputs = 3, .infer = infer, .reference = where};

}  // namespace octet
