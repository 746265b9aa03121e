// Bf16Conv, Bf16Gemm: FusedConv and FusedGemm whose products are those of bfloat16 numbers. x is rounded (to nearest
// even) where it is f32, w is bfloat16; sums, bias, residual and activation are f32; y is rounded to `to`. Where w is
// f32 (depthwise layers) so are the products, of x as it is. The judge of accuracy: the references of FusedConv and
// FusedGemm on rounded values, with sums in double.
#include "ir/ops/common.h"
#include "ir/ops/convolution.h"
#include "ir/ops/fused.h"

namespace octet {

extern const OpDef fused_conv_op;
extern const OpDef fused_gemm_op;

namespace {

constexpr std::string_view k_conv_attributes_and_to[] = {
    "auto_pad", "dilations", "group", "pads", "strides", "kernel_shape", "to", "activation", "activation_params"};
constexpr std::string_view k_gemm_attributes[] = {"to", "activation", "activation_params"};

bool is_value(DType dtype) { return dtype == DType::f32 || dtype == DType::bf16; }

Result<DType> dtype_of_y(const NodeContext& context) {
  const std::string word = string_attribute(context.node, "to", "");
  const std::optional<DType> dtype = dtype_from_name(word);
  if (!dtype || !is_value(*dtype)) return context.error("attribute to is '" + word + "', expected f32 or bf16");
  return *dtype;
}

/// x and residual: f32 or bf16; w: bf16, or f32 where `may_have_f32_weights`; bias: f32.
Result<Done> check_dtypes(const NodeContext& context, bool may_have_f32_weights) {
  for (size_t i = 0; i < context.input_count(); ++i) {
    if (!context.has_input(i)) continue;
    const DType dtype = context.dtype(i);
    const bool may_be_f32 = i != 1 || may_have_f32_weights, may_be_bf16 = i != 2;
    if ((may_be_f32 && dtype == DType::f32) || (may_be_bf16 && dtype == DType::bf16)) continue;
    const char* want = may_be_f32 && may_be_bf16 ? "f32 or bf16" : may_be_f32 ? "f32" : "bf16";
    return context.error("input " + std::to_string(i) + " is " + std::string(name(dtype)) + ", expected " + want);
  }
  if (Result<FusedActivation> act = fused_activation(context); !act) return act.error();
  return Done{};
}

/// One channel a group, a filter of its own: w is [C*M, 1, ...].
bool is_depthwise(const NodeContext& context) {
  const std::optional<Shape>& w = context.shape(1);
  return w && w->size() > 1 && (*w)[1].known() && (*w)[1].value == 1 && int_attribute(context.node, "group", 1) > 1;
}

Result<ValueTypes> infer_conv(const NodeContext& context) {
  if (Result<Done> ok = check_dtypes(context, is_depthwise(context)); !ok) return ok.error();
  Result<DType> to = dtype_of_y(context);
  if (!to) return to.error();
  Result<std::optional<Shape>> y = conv_shape(context, context.shape(0), context.shape(1));
  if (!y) return y.error();
  if (*y && context.has_input(2))
    if (Result<Done> ok = require_channels(context, 2, context.shape(2), (**y)[1]); !ok) return ok.error();
  if (*y && context.has_input(3))
    if (Result<Done> ok = require_shape(context, 3, context.shape(3), **y); !ok) return ok.error();
  return ValueTypes{{*to, std::move(*y)}};
}

Result<ValueTypes> infer_gemm(const NodeContext& context) {
  if (Result<Done> ok = check_dtypes(context, false); !ok) return ok.error();
  Result<DType> to = dtype_of_y(context);
  if (!to) return to.error();
  for (const size_t i : {size_t{0}, size_t{1}})
    if (Result<Done> ok = require_rank(context, i, 2); !ok) return ok.error();
  if (!context.shape(0) || !context.shape(1)) return ValueTypes{{*to, std::nullopt}};
  const Shape &x = *context.shape(0), &w = *context.shape(1);
  if (x[1].known() && w[1].known() && x[1].value != w[1].value)
    return context.error("x is " + to_string(x) + " and w " + to_string(w) + ", expected [M,K] and [N,K]");
  if (context.has_input(2))
    if (Result<Done> ok = require_channels(context, 2, context.shape(2), w[0]); !ok) return ok.error();
  return ValueTypes{{*to, Shape{x[0], w[0]}}};
}

/// The f32 op on what the products see.
Result<Tensors> on_rounded(const OpDef& op, const NodeContext& context, std::span<const Tensor> inputs) {
  Result<DType> to = dtype_of_y(context);
  if (!to) return to.error();
  Tensors wide;
  for (size_t i = 0; i < inputs.size(); ++i) {
    Tensor input = inputs[i];
    if (i == 0 && input.dtype() == DType::f32 && inputs[1].dtype() == DType::bf16) {
      Result<Tensors> rounded = from_f32(context, DType::bf16, input.dims(), input.as<float>());
      if (!rounded) return rounded.error();
      input = (*rounded)[0];
    }
    if (input.dtype() == DType::bf16) {
      Result<Tensor> values = to_f32(context, input);
      if (!values) return values.error();
      input = *std::move(values);
    }
    wide.push_back(std::move(input));
  }
  Result<Tensors> y = op.reference(context, wide);
  if (!y || *to == DType::f32) return y;
  return from_f32(context, *to, (*y)[0].dims(), (*y)[0].as<float>());
}

Result<Tensors> conv(const NodeContext& context, std::span<const Tensor> inputs) {
  return on_rounded(fused_conv_op, context, inputs);
}
Result<Tensors> gemm(const NodeContext& context, std::span<const Tensor> inputs) {
  return on_rounded(fused_gemm_op, context, inputs);
}

}  // namespace

const OpDef bf16_conv_op = {.name = "Bf16Conv",
                            .min_inputs = 2,
                            .max_inputs = 4,
                            .attributes = k_conv_attributes_and_to,
                            .infer = infer_conv,
                            .reference = conv,
                            .is_onnx = false};

const OpDef bf16_gemm_op = {.name = "Bf16Gemm",
                            .min_inputs = 2,
                            .max_inputs = 3,
                            .attributes = k_gemm_attributes,
                            .infer = infer_gemm,
                            .reference = gemm,
                            .is_onnx = false};

}  // namespace octet
