// QuantConv: integer convolution with one requantize per output, README.md forms 1 to 3. Padding is the code of real
// zero.
#include "ir/ops/common.h"
#include "ir/ops/convolution.h"
#include "ir/ops/fused.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"auto_pad",     "dilations",      "group",
                                             "kernel_shape", "pads",           "strides",
                                             "x_scale",      "x_zero_point",   "y_scale",
                                             "y_zero_point", "residual_scale", "residual_zero_point",
                                             "to",           "activation",     "activation_params"};

Result<Done> check_inputs(const NodeContext& context) {
  if (Result<Done> ok = require_codes(context, 0); !ok) return ok.error();
  if (context.dtype(1) != DType::s8)
    return context.error("the weight is " + std::string(name(context.dtype(1))) + ", expected s8");
  if (context.dtype(2) != DType::f32)
    return context.error("w_scale is " + std::string(name(context.dtype(2))) + ", expected f32");
  if (context.has_input(3) && context.dtype(3) != DType::s32)
    return context.error("the bias is " + std::string(name(context.dtype(3))) + ", expected s32");
  if (Result<QuantParams> x = quant_params(context, "x", context.dtype(0)); !x) return x.error();
  if (!context.has_input(4)) return Done{};
  if (Result<Done> ok = require_codes(context, 4); !ok) return ok.error();
  if (Result<QuantParams> r = quant_params(context, "residual", context.dtype(4)); !r) return r.error();
  return Done{};
}

/// A residual of [1, OC, 1, 1], or [1, OC, 1, 1, 1] of volumes, is added at every pixel.
bool is_one_pixel(const std::optional<Shape>& residual, const Shape& y) {
  Shape pixel(y.size(), Dim(1));
  pixel[1] = y[1];
  return residual && *residual == pixel && y.size() >= 4;
}

Result<ValueTypes> infer(const NodeContext& context) {
  if (Result<Done> ok = check_inputs(context); !ok) return ok.error();
  Result<Requantize> requantize = requantize_of(context);
  if (!requantize) return requantize.error();
  Result<std::optional<Shape>> y = conv_shape(context, context.shape(0), context.shape(1));
  if (!y) return y.error();
  if (!*y) return ValueTypes{{requantize->y.dtype, {}}};
  for (const size_t i : {size_t{2}, size_t{3}})
    if (context.has_input(i))
      if (Result<Done> ok = require_channels(context, i, context.shape(i), (**y)[1]); !ok) return ok.error();
  if (context.has_input(4) && !is_one_pixel(context.shape(4), **y))
    if (Result<Done> ok = require_shape(context, 4, context.shape(4), **y); !ok) return ok.error();
  return ValueTypes{{requantize->y.dtype, std::move(**y)}};
}

Result<Tensors> reference(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<Requantize> requantize = requantize_of(context);
  if (!requantize) return requantize.error();
  Result<QuantParams> xq = quant_params(context, "x", inputs[0].dtype());
  if (!xq) return xq.error();
  Result<ConvGeometry> geometry = conv_geometry(context, inputs[0], inputs[1]);
  if (!geometry) return geometry.error();
  const ConvGeometry& g = *geometry;
  Result<std::vector<float>> w_scale = channel_values(context, inputs, 2, g.oc);
  if (!w_scale) return w_scale.error();
  if (is_present(inputs, 3) && inputs[3].dims() != Dims{g.oc})
    return context.error("the bias is " + to_string(inputs[3].dims()) + ", expected [" + std::to_string(g.oc) + "]");
  std::vector<int32_t> x = code_values(inputs[0]);
  for (int32_t& code : x) code -= xq->zero_point;  // padding then adds nothing
  const std::span<const int8_t> w = inputs[1].as<int8_t>();
  const bool has_residual = is_present(inputs, 4);
  bool one_pixel = false;
  QuantParams rq;
  std::vector<int32_t> r;
  if (has_residual) {
    Result<QuantParams> params = quant_params(context, "residual", inputs[4].dtype());
    if (!params) return params.error();
    one_pixel = inputs[4].dims() != g.y_dims && is_one_pixel(to_shape(inputs[4].dims()), to_shape(g.y_dims));
    if (!one_pixel && inputs[4].dims() != g.y_dims)
      return context.error("the residual is " + to_string(inputs[4].dims()) + ", expected " + to_string(g.y_dims));
    rq = *params;
    r = code_values(inputs[4]);
  }
  const double y_scale = requantize->y_scale();
  const float mr = static_cast<float>(static_cast<double>(rq.scale) / y_scale);
  LayerOutputs y(*requantize);
  std::vector<int64_t> plane;
  const int64_t weights_per_oc = g.ic / g.groups * g.taps(), oc_per_group = g.oc / g.groups;
  size_t at = 0;
  for (int64_t n = 0; n < g.batch; ++n) {
    for (int64_t oc = 0; oc < g.oc; ++oc) {
      plane.assign(static_cast<size_t>(g.out_plane()), is_present(inputs, 3) ? inputs[3].at<int32_t>(oc) : 0);
      const int64_t first = oc / oc_per_group * (g.ic / g.groups);
      convolve_plane(g, x.data() + (n * g.ic + first) * g.in_plane(), w.data() + oc * weights_per_oc, plane);
      const float m =
          static_cast<float>(static_cast<double>(xq->scale) * (*w_scale)[static_cast<size_t>(oc)] / y_scale);
      for (const int64_t acc : plane) {
        Result<int32_t> exact = accumulator(context, acc);
        if (!exact) return exact.error();
        const auto a = static_cast<float>(*exact);
        const size_t from = one_pixel ? static_cast<size_t>(oc) : at;
        y.add(has_residual ? std::fma(a, m, static_cast<float>(r[from] - rq.zero_point) * mr) : a * m);
        ++at;
      }
    }
  }
  return y.tensor(g.y_dims);
}

}  // namespace

const OpDef quant_conv_op = {
    .name = "QuantConv",
    .min_inputs = 3,
    .max_inputs = 5,
    .attributes = k_attributes,
    .infer = infer,
    .reference = reference,
    .validate = require_exact_accumulators,
    .is_onnx = false,
};

}  // namespace octet
