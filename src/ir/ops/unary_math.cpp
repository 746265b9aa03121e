// Element-wise functions of one input. Source: ONNX operators of the same names, opset 13. f16 and bf16 compute as
// float and round once. Round takes ties to even. Neg, Abs and Sign also take integers; Neg and Abs wrap at the lowest
// one.
#include "ir/ops/common.h"

namespace octet {
namespace {

template <class F>
Result<Tensors> each_float(const NodeContext& context, std::span<const Tensor> inputs, F f) {
  return with_float_type(context, inputs[0].dtype(), [&]<class T>(T) { return single(map_elements<T>(inputs[0], f)); });
}

Result<Tensors> sqrt_of(const NodeContext& context, std::span<const Tensor> inputs) {
  return each_float(context, inputs, [](auto x) { return std::sqrt(x); });
}
Result<Tensors> exp_of(const NodeContext& context, std::span<const Tensor> inputs) {
  return each_float(context, inputs, [](auto x) { return std::exp(x); });
}
Result<Tensors> log_of(const NodeContext& context, std::span<const Tensor> inputs) {
  return each_float(context, inputs, [](auto x) { return std::log(x); });
}
Result<Tensors> erf_of(const NodeContext& context, std::span<const Tensor> inputs) {
  return each_float(context, inputs, [](auto x) { return std::erf(x); });
}
Result<Tensors> reciprocal_of(const NodeContext& context, std::span<const Tensor> inputs) {
  return each_float(context, inputs, [](auto x) { return decltype(x){1} / x; });
}
Result<Tensors> floor_of(const NodeContext& context, std::span<const Tensor> inputs) {
  return each_float(context, inputs, [](auto x) { return std::floor(x); });
}
Result<Tensors> ceil_of(const NodeContext& context, std::span<const Tensor> inputs) {
  return each_float(context, inputs, [](auto x) { return std::ceil(x); });
}
Result<Tensors> round_of(const NodeContext& context, std::span<const Tensor> inputs) {
  return each_float(context, inputs, [](auto x) { return std::nearbyint(x); });
}

template <class T>
T negated(T x) {
  if constexpr (std::is_integral_v<T>) return static_cast<T>(uint64_t{0} - static_cast<uint64_t>(x));
  return -x;
}
Result<Tensors> neg_of(const NodeContext& context, std::span<const Tensor> inputs) {
  return with_number_type(context, inputs[0].dtype(),
                          [&]<class T>(T) { return single(map_elements<T>(inputs[0], negated<Wide<T>>)); });
}
Result<Tensors> abs_of(const NodeContext& context, std::span<const Tensor> inputs) {
  return with_number_type(context, inputs[0].dtype(), [&]<class T>(T) {
    return single(map_elements<T>(inputs[0], [](Wide<T> x) {
      if constexpr (std::is_floating_point_v<Wide<T>>) return std::fabs(x);
      return x < 0 ? negated(x) : x;
    }));
  });
}

Result<Tensors> sign_of(const NodeContext& context, std::span<const Tensor> inputs) {
  return with_number_type(context, inputs[0].dtype(), [&]<class T>(T) {
    return single(map_elements<T>(inputs[0], [](Wide<T> x) {
      if (x != x) return x;  // NaN stays
      return static_cast<Wide<T>>(x > 0 ? 1 : x < 0 ? -1 : 0);
    }));
  });
}

}  // namespace

const OpDef sqrt_op = {.name = "Sqrt", .infer = infer_same_float, .reference = sqrt_of};
const OpDef exp_op = {.name = "Exp", .infer = infer_same_float, .reference = exp_of};
const OpDef log_op = {.name = "Log", .infer = infer_same_float, .reference = log_of};
const OpDef erf_op = {.name = "Erf", .infer = infer_same_float, .reference = erf_of};
const OpDef reciprocal_op = {.name = "Reciprocal", .infer = infer_same_float, .reference = reciprocal_of};
const OpDef floor_op = {.name = "Floor", .infer = infer_same_float, .reference = floor_of};
const OpDef ceil_op = {.name = "Ceil", .infer = infer_same_float, .reference = ceil_of};
const OpDef round_op = {.name = "Round", .infer = infer_same_float, .reference = round_of};
const OpDef neg_op = {.name = "Neg", .infer = infer_same, .reference = neg_of};
const OpDef sign_op = {.name = "Sign", .infer = infer_same, .reference = sign_of};
const OpDef abs_op = {.name = "Abs", .infer = infer_same, .reference = abs_of};

}  // namespace octet
