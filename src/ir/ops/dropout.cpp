// Dropout(x, ratio?, training_mode?) -> y, mask at inference: y = x, the mask all true. In the graph only where the
// file leaves it to an input whether to train; training with a ratio other than 0 is refused when it is asked for.
// Source: ONNX operator Dropout, opset 22.
#include <algorithm>

#include "ir/ops/common.h"

namespace octet {
namespace {

Result<ValueTypes> infer(const NodeContext& context) {
  if (Result<Done> ok = require_float(context, 0); !ok) return ok.error();
  return ValueTypes{{context.dtype(0), context.shape(0)}, {DType::boolean, context.shape(0)}};
}

Result<Tensors> reference(const NodeContext& context, std::span<const Tensor> inputs) {
  const auto is_zero = [&](size_t i, double otherwise) {
    const std::vector<double> value = is_present(inputs, i) ? to_doubles(inputs[i]) : std::vector<double>{otherwise};
    return value.size() == 1 && value[0] == 0;
  };
  if (!is_zero(2, 0) && !is_zero(1, 0.5))
    return context.error("training_mode is true with a ratio; octet runs inference only", ErrorCode::unsupported);
  Result<std::pair<Tensor, std::byte*>> mask = Tensor::allocate(DType::boolean, inputs[0].dims());
  if (!mask) return mask.error();
  std::fill_n(mask->second, mask->first.size_bytes(), std::byte{1});
  return Tensors{inputs[0], std::move(mask->first)};
}

}  // namespace

const OpDef dropout_op = {.name = "Dropout", .max_inputs = 3, .outputs_max = 2, .infer = infer, .reference = reference};

}  // namespace octet
