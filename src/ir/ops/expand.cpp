// Expand(x, shape): x broadcast with shape, both ways as NumPy does. Source: ONNX operator Expand, opset 13.
#include "ir/ops/common.h"

namespace octet {
namespace {

Result<ValueTypes> infer(const NodeContext& context) {
  if (Result<Done> ok = require_rank(context, 1, 1); !ok) return ok.error();
  Result<std::optional<std::vector<int64_t>>> target = constant_ints(context, 1);
  if (!target) return target.error();
  if (!context.shape(0) || !*target) return typed(context);
  for (const int64_t t : **target)
    if (t < 0) return context.error("shape " + list_text(**target) + " has a negative extent");
  Result<Shape> shape = broadcast_shapes(context, *context.shape(0), to_shape(**target));
  if (!shape) return shape.error();
  return typed(context, std::move(*shape));
}

Result<Tensors> expand(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<std::vector<int64_t>> target = ints_of(context, inputs, 1);
  if (!target) return target.error();
  for (const int64_t t : *target)
    if (t < 0) return context.error("shape " + list_text(*target) + " has a negative extent");
  Result<Dims> dims = broadcast_dims(context, inputs[0].dims(), *target);
  if (!dims) return dims.error();
  return single(gather_strided(inputs[0], *dims, broadcast_strides(inputs[0].dims(), *dims)));
}

}  // namespace

const OpDef expand_op = {
    .name = "Expand",
    .min_inputs = 2,
    .max_inputs = 2,
    .infer = infer,
    .reference = expand,
    .quant = {.role = QuantRole::same_scale},
};

}  // namespace octet
