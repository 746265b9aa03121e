// Activations that stay float: Gelu, Elu, Selu, Celu, Softplus, Softsign, Mish, ThresholdedRelu, PRelu. Source: ONNX
// operators Gelu-20, Elu-6, Selu-6, Celu-12, Softplus-1, Softsign-1, Mish-18, ThresholdedRelu-10, PRelu-16. Evaluated
// in double and rounded once.
//   Gelu: x/2 (1 + erf(x / sqrt 2)), or with approximate="tanh": x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
//   Elu: x < 0 ? alpha (e^x - 1) : x          Selu: gamma (x < 0 ? alpha (e^x - 1) : x)
//   Softplus: ln(1 + e^x)                      Mish: x tanh(softplus(x))
//   Celu: max(x, 0) + min(0, alpha (e^(x / alpha) - 1))   Softsign: x / (1 + |x|)   ThresholdedRelu: x > alpha ? x : 0
//   PRelu: x < 0 ? x * slope : x, slope broadcast to x
#include <algorithm>
#include <numbers>

#include "ir/ops/common.h"
#include "ir/ops/elements.h"

namespace octet {
namespace {

// Between codes they become tables of 256 answers.
constexpr QuantRule k_rule = {.role = QuantRole::activation};
constexpr std::string_view k_approximate[] = {"approximate"};
constexpr std::string_view k_alpha[] = {"alpha"};
constexpr std::string_view k_alpha_gamma[] = {"alpha", "gamma"};

/// y = f(x) in double, for every float dtype.
template <class F>
Result<Tensors> map_doubles(const NodeContext& context, const Tensor& x, F f) {
  return with_float_type(context, x.dtype(), [&]<class T>(T) {
    return single(map_elements<T>(x, [&](Wide<T> v) { return static_cast<Wide<T>>(f(static_cast<double>(v))); }));
  });
}

double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); }  // e^x cannot overflow

Result<ValueTypes> infer_gelu(const NodeContext& context) {
  const std::string word = string_attribute(context.node, "approximate", "none");
  if (word != "none" && word != "tanh") return context.error("approximate is '" + word + "', expected none or tanh");
  return infer_same_float(context);
}

Result<Tensors> gelu(const NodeContext& context, std::span<const Tensor> inputs) {
  if (string_attribute(context.node, "approximate", "none") == "tanh")
    return map_doubles(context, inputs[0], [](double x) {
      const double inner = std::sqrt(2.0 / std::numbers::pi) * (x + 0.044715 * x * x * x);
      return 0.5 * x * (1.0 + std::tanh(inner));
    });
  return map_doubles(context, inputs[0], [](double x) { return 0.5 * x * (1.0 + std::erf(x / std::numbers::sqrt2)); });
}

Result<Tensors> elu(const NodeContext& context, std::span<const Tensor> inputs) {
  const double alpha = float_attribute(context.node, "alpha", 1.0f);
  return map_doubles(context, inputs[0], [=](double x) { return x < 0 ? alpha * std::expm1(x) : x; });
}

Result<Tensors> selu(const NodeContext& context, std::span<const Tensor> inputs) {
  const double alpha = float_attribute(context.node, "alpha", 1.67326319217681884765625f);
  const double gamma = float_attribute(context.node, "gamma", 1.05070102214813232421875f);
  return map_doubles(context, inputs[0], [=](double x) { return gamma * (x < 0 ? alpha * std::expm1(x) : x); });
}

Result<Tensors> softplus_reference(const NodeContext& context, std::span<const Tensor> inputs) {
  return map_doubles(context, inputs[0], softplus);
}

Result<Tensors> celu(const NodeContext& context, std::span<const Tensor> inputs) {
  const double alpha = float_attribute(context.node, "alpha", 1.0f);
  return map_doubles(context, inputs[0],
                     [=](double x) { return std::max(x, 0.0) + std::min(0.0, alpha * std::expm1(x / alpha)); });
}

Result<Tensors> softsign(const NodeContext& context, std::span<const Tensor> inputs) {
  return map_doubles(context, inputs[0], [](double x) { return x / (1 + std::fabs(x)); });
}

Result<Tensors> thresholded_relu(const NodeContext& context, std::span<const Tensor> inputs) {
  const double alpha = float_attribute(context.node, "alpha", 1.0f);
  return map_doubles(context, inputs[0], [=](double x) { return x > alpha ? x : 0.0; });
}

Result<Tensors> mish(const NodeContext& context, std::span<const Tensor> inputs) {
  return map_doubles(context, inputs[0], [](double x) { return x * std::tanh(softplus(x)); });
}

Result<ValueTypes> infer_prelu(const NodeContext& context) {
  if (Result<Done> ok = require_float(context, 0); !ok) return ok.error();
  Result<ValueTypes> types = infer_broadcast(context);
  if (!types) return types;
  const std::optional<Shape>&x = context.shape(0), &y = (*types)[0].shape;
  if (x && y && (x->size() != y->size() || (known_dims(*x) && *x != *y)))
    return context.error("slope " + to_string(*context.shape(1)) + " does not broadcast to x " + to_string(*x));
  return typed(context, x);
}

Result<Tensors> prelu(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<Dims> dims = broadcast_dims(context, inputs[0].dims(), inputs[1].dims());
  if (!dims) return dims.error();
  if (*dims != inputs[0].dims())
    return context.error("slope " + to_string(inputs[1].dims()) + " does not broadcast to x " +
                         to_string(inputs[0].dims()));
  return with_float_type(context, inputs[0].dtype(), [&]<class T>(T) {
    return single(map_pairs<T, T>(context, inputs[0], inputs[1], inputs[0].dtype(),
                                  [](auto x, auto slope) { return x < 0 ? x * slope : x; }));
  });
}

}  // namespace

const OpDef gelu_op = {
    .name = "Gelu", .attributes = k_approximate, .infer = infer_gelu, .reference = gelu, .quant = k_rule};
const OpDef elu_op = {
    .name = "Elu", .attributes = k_alpha, .infer = infer_same_float, .reference = elu, .quant = k_rule};
const OpDef selu_op = {
    .name = "Selu", .attributes = k_alpha_gamma, .infer = infer_same_float, .reference = selu, .quant = k_rule};
const OpDef softplus_op = {
    .name = "Softplus", .infer = infer_same_float, .reference = softplus_reference, .quant = k_rule};
const OpDef mish_op = {.name = "Mish", .infer = infer_same_float, .reference = mish, .quant = k_rule};
const OpDef celu_op = {
    .name = "Celu", .attributes = k_alpha, .infer = infer_same_float, .reference = celu, .quant = k_rule};
const OpDef softsign_op = {.name = "Softsign", .infer = infer_same_float, .reference = softsign, .quant = k_rule};
const OpDef thresholded_relu_op = {
    .name = "ThresholdedRelu", .attributes = k_alpha, .infer = infer_same_float, .reference = thresholded_relu};
const OpDef prelu_op = {.name = "PRelu", .min_inputs = 2, .max_inputs = 2, .infer = infer_prelu, .reference = prelu};

}  // namespace octet
