// Conv: convolution over 1, 2 or 3 spatial axes with groups. Source: ONNX operator Conv, opset 11.
//   y[n,oc,o] = b[oc] + sum over ic,k of x[n,ic,o*stride + k*dilation - pad] * w[oc,ic,k]
// FusedConv adds a residual of y's shape and an activation: y = act(conv + b + residual).
// The judge of accuracy: products and sums in double, one rounding to float before the activation.
#include "ir/ops/common.h"
#include "ir/ops/convolution.h"
#include "ir/ops/fused.h"

namespace octet {
namespace {

constexpr std::string_view k_fused_attributes[] = {"auto_pad", "dilations", "group",      "kernel_shape",
                                                   "pads",     "strides",   "activation", "activation_params"};

Result<ValueTypes> infer(const NodeContext& context) {
  if (Result<Done> ok = require_float(context, 0); !ok) return ok.error();
  if (Result<Done> ok = require_same_dtype(context, 0, 1); !ok) return ok.error();
  if (Result<FusedActivation> act = fused_activation(context); !act) return act.error();
  Result<std::optional<Shape>> y = conv_shape(context, context.shape(0), context.shape(1));
  if (!y) return y.error();
  if (!*y) return typed(context);
  for (const size_t i : {size_t{2}, size_t{3}})
    if (context.has_input(i))
      if (Result<Done> ok = require_same_dtype(context, 0, i); !ok) return ok.error();
  if (context.has_input(2))
    if (Result<Done> ok = require_channels(context, 2, context.shape(2), (**y)[1]); !ok) return ok.error();
  if (context.has_input(3))
    if (Result<Done> ok = require_shape(context, 3, context.shape(3), **y); !ok) return ok.error();
  return typed(context, std::move(**y));
}

Result<Tensors> reference(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<FusedActivation> act = fused_activation(context);
  if (!act) return act.error();
  Result<ConvGeometry> geometry = conv_geometry(context, inputs[0], inputs[1]);
  if (!geometry) return geometry.error();
  const ConvGeometry& g = *geometry;
  Result<Tensor> x = to_f32(context, inputs[0]);
  if (!x) return x.error();
  Result<Tensor> w = to_f32(context, inputs[1]);
  if (!w) return w.error();
  Result<std::vector<float>> bias = channel_values(context, inputs, 2, g.oc);
  if (!bias) return bias.error();
  Result<std::vector<float>> residual = full_values(context, inputs, 3, g.y_dims);
  if (!residual) return residual.error();
  std::vector<float> y(static_cast<size_t>(*element_count(g.y_dims)));
  std::vector<double> plane;
  const int64_t weights_per_oc = g.ic / g.groups * g.taps(), oc_per_group = g.oc / g.groups;
  size_t at = 0;
  for (int64_t n = 0; n < g.batch; ++n) {
    for (int64_t oc = 0; oc < g.oc; ++oc) {
      plane.assign(static_cast<size_t>(g.out_plane()), bias->empty() ? 0.0 : (*bias)[static_cast<size_t>(oc)]);
      const int64_t first = oc / oc_per_group * (g.ic / g.groups);
      convolve_plane(g, x->as<float>().data() + (n * g.ic + first) * g.in_plane(),
                     w->as<float>().data() + oc * weights_per_oc, plane);
      for (const double sum : plane) {
        y[at] = (*act)(static_cast<float>(residual->empty() ? sum : sum + (*residual)[at]));
        ++at;
      }
    }
  }
  return from_f32(context, inputs[0].dtype(), g.y_dims, y);
}

}  // namespace

const OpDef conv_op = {
    .name = "Conv",
    .min_inputs = 2,
    .max_inputs = 3,
    .attributes = k_conv_attributes,
    .infer = infer,
    .reference = reference,
    .quant = {.role = QuantRole::weighted, .weight_input = 1, .weight_axis = 0, .bias_input = 2},
};

const OpDef fused_conv_op = {
    .name = "FusedConv",
    .min_inputs = 2,
    .max_inputs = 4,
    .attributes = k_fused_attributes,
    .infer = infer,
    .reference = reference,
    .is_onnx = false,
};

}  // namespace octet
