// Activations of one value, all by tensor/activation.h. Source: ONNX operators Relu-14, LeakyRelu-16, Clip-13,
// Sigmoid-13, HardSigmoid-6, HardSwish-14, Tanh-13; Silu is octet's own (ONNX 24 calls it Swish).
#include "ir/ops/common.h"
#include "ir/ops/fused.h"

namespace octet {
namespace {

constexpr std::string_view k_alpha[] = {"alpha"};
constexpr std::string_view k_alpha_beta[] = {"alpha", "beta"};

Result<Tensors> apply(const NodeContext& context, const Tensor& x, Activation kind, std::span<const float> params) {
  Result<Tensor> values = to_f32(context, x);
  if (!values) return values.error();
  std::vector<float> y;
  y.reserve(static_cast<size_t>(x.size()));
  for (const float v : values->as<float>()) y.push_back(activate(kind, params, v));
  return from_f32(context, x.dtype(), x.dims(), y);
}

template <Activation kind>
Result<Tensors> plain(const NodeContext& context, std::span<const Tensor> inputs) {
  return apply(context, inputs[0], kind, {});
}

Result<Tensors> leaky_relu(const NodeContext& context, std::span<const Tensor> inputs) {
  const float params[] = {float_attribute(context.node, "alpha", 0.01f)};
  return apply(context, inputs[0], Activation::leaky_relu, params);
}

Result<Tensors> hard_sigmoid(const NodeContext& context, std::span<const Tensor> inputs) {
  const float params[] = {float_attribute(context.node, "alpha", 0.2f), float_attribute(context.node, "beta", 0.5f)};
  return apply(context, inputs[0], Activation::hard_sigmoid, params);
}

Result<ValueTypes> infer_clip(const NodeContext& context) {
  for (const size_t i : {size_t{1}, size_t{2}}) {
    if (!context.has_input(i)) continue;
    if (Result<Done> ok = require_same_dtype(context, 0, i); !ok) return ok.error();
    const std::optional<Shape>& shape = context.shape(i);
    if (shape && !shape->empty() && !(shape->size() == 1 && (*shape)[0] == Dim(1)))
      return context.error("input " + std::to_string(i) + " is " + to_string(*shape) + ", expected one number");
  }
  return infer_same(context);
}

Result<Tensors> clip(const NodeContext& context, std::span<const Tensor> inputs) {
  return with_number_type(context, inputs[0].dtype(), [&]<class T>(T) -> Result<Tensors> {
    using W = Wide<T>;
    W low = std::numeric_limits<W>::lowest(), high = std::numeric_limits<W>::max();
    if constexpr (std::is_floating_point_v<W>) {
      low = -std::numeric_limits<W>::infinity();
      high = std::numeric_limits<W>::infinity();
    }
    for (const size_t i : {size_t{1}, size_t{2}}) {
      if (!is_present(inputs, i)) continue;
      if (inputs[i].size() != 1) return context.error("input " + std::to_string(i) + " must be one number");
      (i == 1 ? low : high) = static_cast<W>(inputs[i].as<T>()[0]);
    }
    return single(map_elements<T>(inputs[0], [=](W x) {
      const W raised = x < low ? low : x;
      return raised > high ? high : raised;
    }));
  });
}

constexpr QuantRule k_rule = {.role = QuantRole::activation};

}  // namespace

const OpDef relu_op = {
    .name = "Relu", .infer = infer_same_float, .reference = plain<Activation::relu>, .quant = k_rule};
const OpDef sigmoid_op = {
    .name = "Sigmoid", .infer = infer_same_float, .reference = plain<Activation::sigmoid>, .quant = k_rule};
const OpDef tanh_op = {
    .name = "Tanh", .infer = infer_same_float, .reference = plain<Activation::tanh>, .quant = k_rule};
const OpDef hard_swish_op = {
    .name = "HardSwish", .infer = infer_same_float, .reference = plain<Activation::hard_swish>, .quant = k_rule};
const OpDef silu_op = {
    .name = "Silu", .infer = infer_same_float, .reference = plain<Activation::silu>, .quant = k_rule, .is_onnx = false};
const OpDef leaky_relu_op = {
    .name = "LeakyRelu", .attributes = k_alpha, .infer = infer_same_float, .reference = leaky_relu, .quant = k_rule};
const OpDef hard_sigmoid_op = {.name = "HardSigmoid",
                               .attributes = k_alpha_beta,
                               .infer = infer_same_float,
                               .reference = hard_sigmoid,
                               .quant = k_rule};
const OpDef clip_op = {
    .name = "Clip", .min_inputs = 1, .max_inputs = 3, .infer = infer_clip, .reference = clip, .quant = k_rule};

}  // namespace octet
