// FusedAdd in float; QuantAdd, QuantMul and QuantLookup on codes. README.md, forms 2 and 4; NumPy broadcasting.
#include "ir/ops/common.h"
#include "ir/ops/fused.h"

namespace octet {
namespace {

constexpr std::string_view k_fused_attributes[] = {"activation", "activation_params"};
constexpr std::string_view k_attributes[] = {"a_scale",      "a_zero_point", "b_scale",
                                             "b_zero_point", "y_scale",      "y_zero_point",
                                             "to",           "activation",   "activation_params"};

Result<ValueTypes> infer_fused(const NodeContext& context) {
  if (Result<FusedActivation> act = fused_activation(context); !act) return act.error();
  if (Result<Done> ok = require_float(context, 0); !ok) return ok.error();
  return infer_broadcast(context);
}

Result<Tensors> fused_add(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<FusedActivation> act = fused_activation(context);
  if (!act) return act.error();
  return with_float_type(context, inputs[0].dtype(), [&]<class T>(T) {
    return single(map_pairs<T, T>(context, inputs[0], inputs[1], inputs[0].dtype(), [&](auto a, auto b) {
      return static_cast<decltype(a)>((*act)(static_cast<float>(a + b)));
    }));
  });
}

Result<ValueTypes> infer_pair(const NodeContext& context) {
  for (const size_t i : {size_t{0}, size_t{1}}) {
    if (Result<Done> ok = require_codes(context, i); !ok) return ok.error();
    if (Result<QuantParams> p = quant_params(context, i == 0 ? "a" : "b", context.dtype(i)); !p) return p.error();
  }
  Result<Requantize> requantize = requantize_of(context);
  if (!requantize) return requantize.error();
  if (requantize->on_values() && is_code(requantize->y.dtype))
    return context.error("activation " + std::string(name(requantize->act.kind)) +
                         " is not defined here; only Relu and Clip are");
  if (!context.shape(0) || !context.shape(1)) return ValueTypes{{requantize->y.dtype, {}}};
  Result<Shape> y = broadcast_shapes(context, *context.shape(0), *context.shape(1));
  if (!y) return y.error();
  return ValueTypes{{requantize->y.dtype, std::move(*y)}};
}

template <bool product>
Result<Tensors> pair(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<Requantize> requantize = requantize_of(context);
  if (!requantize) return requantize.error();
  Result<QuantParams> aq = quant_params(context, "a", inputs[0].dtype());
  if (!aq) return aq.error();
  Result<QuantParams> bq = quant_params(context, "b", inputs[1].dtype());
  if (!bq) return bq.error();
  Result<Dims> dims = broadcast_dims(context, inputs[0].dims(), inputs[1].dims());
  if (!dims) return dims.error();
  const double y_scale = requantize->y_scale();
  const double sa = aq->scale, sb = bq->scale;
  const float m = static_cast<float>((product ? sa * sb : sa) / y_scale), mr = static_cast<float>(sb / y_scale);
  const std::vector<int32_t> a = code_values(inputs[0]), b = code_values(inputs[1]);
  LayerOutputs y(*requantize);
  const std::array strides = {broadcast_strides(inputs[0].dims(), *dims), broadcast_strides(inputs[1].dims(), *dims)};
  for_each_index<2>(*dims, strides, [&](int64_t, const std::array<int64_t, 2>& at) {
    const int32_t x = a[static_cast<size_t>(at[0])] - aq->zero_point,
                  z = b[static_cast<size_t>(at[1])] - bq->zero_point;
    y.add(product ? static_cast<float>(x * z) * m : std::fma(static_cast<float>(x), m, static_cast<float>(z) * mr));
  });
  return y.tensor(*dims);
}

Result<ValueTypes> infer_lookup(const NodeContext& context) {
  if (Result<Done> ok = require_codes(context, 0); !ok) return ok.error();
  if (Result<Done> ok = require_codes(context, 1); !ok) return ok.error();
  const std::optional<Shape>& table = context.shape(1);
  if (table && !(table->size() == 1 && (*table)[0] == Dim(256)))
    return context.error("the table is " + to_string(*table) + ", expected [256]");
  return ValueTypes{{context.dtype(1), context.shape(0)}};
}

Result<Tensors> lookup(const NodeContext& context, std::span<const Tensor> inputs) {
  if (inputs[1].size() != 256)
    return context.error("the table has " + std::to_string(inputs[1].size()) + " codes, expected 256");
  const std::vector<int32_t> table = code_values(inputs[1]);
  std::vector<int32_t> y;
  for (const int32_t code : code_values(inputs[0])) y.push_back(table[static_cast<size_t>(code & 255)]);
  return codes_tensor(inputs[1].dtype(), inputs[0].dims(), y);
}

}  // namespace

const OpDef fused_add_op = {.name = "FusedAdd",
                            .min_inputs = 2,
                            .max_inputs = 2,
                            .attributes = k_fused_attributes,
                            .infer = infer_fused,
                            .reference = fused_add,
                            .is_onnx = false};
const OpDef quant_add_op = {.name = "QuantAdd",
                            .min_inputs = 2,
                            .max_inputs = 2,
                            .attributes = k_attributes,
                            .infer = infer_pair,
                            .reference = pair<false>,
                            .is_onnx = false};
const OpDef quant_mul_op = {.name = "QuantMul",
                            .min_inputs = 2,
                            .max_inputs = 2,
                            .attributes = k_attributes,
                            .infer = infer_pair,
                            .reference = pair<true>,
                            .is_onnx = false};
const OpDef quant_lookup_op = {.name = "QuantLookup",
                               .min_inputs = 2,
                               .max_inputs = 2,
                               .infer = infer_lookup,
                               .reference = lookup,
                               .is_onnx = false};

}  // namespace octet
