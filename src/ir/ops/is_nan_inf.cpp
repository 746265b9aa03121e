// IsNaN(x) and IsInf(x; detect_negative, detect_positive) of floats, to bool. Source: ONNX operators IsNaN and IsInf,
// opset 20.
#include "ir/ops/common.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"detect_negative", "detect_positive"};

Result<ValueTypes> infer(const NodeContext& context) {
  if (Result<Done> ok = require_float(context, 0); !ok) return ok.error();
  return ValueTypes{{DType::boolean, context.shape(0)}};
}

/// y[i] = is(x[i]).
template <class F>
Result<Tensors> each(const NodeContext& context, const Tensor& x, F is) {
  return with_float_type(context, x.dtype(), [&]<class T>(T) -> Result<Tensors> {
    Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(DType::boolean, x.dims());
    if (!made) return made.error();
    auto* y = reinterpret_cast<uint8_t*>(made->second);
    for (const T& v : x.as<T>()) *y++ = is(static_cast<Wide<T>>(v)) ? 1 : 0;
    return Tensors{std::move(made->first)};
  });
}

Result<Tensors> is_nan(const NodeContext& context, std::span<const Tensor> inputs) {
  return each(context, inputs[0], [](auto x) { return std::isnan(x); });
}
Result<Tensors> is_inf(const NodeContext& context, std::span<const Tensor> inputs) {
  const bool negative = int_attribute(context.node, "detect_negative", 1) != 0;
  const bool positive = int_attribute(context.node, "detect_positive", 1) != 0;
  return each(context, inputs[0], [=](auto x) { return std::isinf(x) && (x < 0 ? negative : positive); });
}

}  // namespace

const OpDef is_nan_op = {.name = "IsNaN", .infer = infer, .reference = is_nan};
const OpDef is_inf_op = {.name = "IsInf", .attributes = k_attributes, .infer = infer, .reference = is_inf};

}  // namespace octet
