// QuantizeLinear and DequantizeLinear, per tensor or per axis. Source: ONNX operators of the same names, opset 13
// to 23.
//   q = saturate(rne(x / scale) + zero_point), a true division, ties to even; NaN gives zero_point (ONNX is silent).
//   x = (q - zero_point) * scale
#include <algorithm>

#include "ir/ops/common.h"
#include "ir/ops/fused.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"axis", "saturate"};

/// Scale of one element or [C] along axis; the element index of x maps to a scale index.
struct Layout {
  int64_t inner = 1, count = 1;
  size_t at(size_t i) const { return i / static_cast<size_t>(inner) % static_cast<size_t>(count); }
};

Result<Layout> layout_of(const NodeContext& context, const Dims& x, const Dims& scale) {
  const std::optional<int64_t> count = element_count(scale);
  if (scale.size() > 1)
    return context.error("scale is " + to_string(scale) + "; octet takes one scale or one per axis",
                         ErrorCode::unsupported);
  if (scale.empty() || (count && *count == 1)) return Layout{};
  Result<size_t> axis = normalized_axis(context, int_attribute(context.node, "axis", 1), x.size());
  if (!axis) return axis.error();
  if (x[*axis] != scale[0])
    return context.error("scale is " + to_string(scale) + ", but axis " + std::to_string(*axis) + " of " +
                         to_string(x) + " has " + std::to_string(x[*axis]) + " channels");
  Layout made{1, scale[0]};
  for (size_t d = *axis + 1; d < x.size(); ++d) made.inner *= x[d];
  return made;
}

Result<Done> check_scale_type(const NodeContext& context) {
  if (is_float(context.dtype(1))) return Done{};
  return context.error("scale is " + std::string(name(context.dtype(1))) + ", expected a float type");
}

/// Scales that are no scales, or lie along the wrong axis: a repair may mend them, so inference lets them pass.
Result<Done> validate(const NodeContext& context) {
  if (const Tensor* scale = context.constant(1))
    for (const double s : to_doubles(*scale))
      if (!(s > 0) || !std::isfinite(s))
        return context.error("scale holds " + std::to_string(s) + ", expected positive finite numbers");
  const std::optional<Dims> x = context.shape(0) ? known_dims(*context.shape(0)) : std::nullopt;
  const std::optional<Dims> s = context.shape(1) ? known_dims(*context.shape(1)) : std::nullopt;
  if (x && s)
    if (Result<Layout> layout = layout_of(context, *x, *s); !layout) return layout.error();
  if (context.has_input(2) && context.shape(1) && context.shape(2) &&
      context.shape(1)->size() != context.shape(2)->size() && context.shape(1)->size() + context.shape(2)->size() > 1)
    return context.error("scale is " + to_string(*context.shape(1)) + ", but zero_point is " +
                         to_string(*context.shape(2)));
  return Done{};
}

Result<ValueTypes> infer_quantize(const NodeContext& context) {
  if (Result<Done> ok = require_float(context, 0); !ok) return ok.error();
  if (Result<Done> ok = check_scale_type(context); !ok) return ok.error();
  const DType dtype = context.has_input(2) ? context.dtype(2) : DType::u8;
  if (!is_code(dtype))
    return context.error("zero_point is " + std::string(name(dtype)) + "; octet quantizes to u8 and s8",
                         ErrorCode::unsupported);
  return ValueTypes{{dtype, context.shape(0)}};
}

Result<ValueTypes> infer_dequantize(const NodeContext& context) {
  const DType q = context.dtype(0);
  if (!is_code(q) && q != DType::s32)
    return context.error("input 0 is " + std::string(name(q)) + ", expected u8, s8 or s32");
  if (Result<Done> ok = check_scale_type(context); !ok) return ok.error();
  if (context.has_input(2))
    if (Result<Done> ok = require_same_dtype(context, 0, 2); !ok) return ok.error();
  return ValueTypes{{context.dtype(1), context.shape(0)}};
}

/// Zero points as integers, one per scale.
Result<std::vector<int32_t>> zero_points(const NodeContext& context, std::span<const Tensor> inputs, size_t count) {
  std::vector<int32_t> made(count, 0);
  if (!is_present(inputs, 2)) return made;
  if (static_cast<size_t>(inputs[2].size()) != count)
    return context.error("zero_point has " + std::to_string(inputs[2].size()) + " values, scale has " +
                         std::to_string(count));
  Result<std::vector<int64_t>> values = to_int64s(inputs[2]);
  if (!values) return values.error();
  std::transform(values->begin(), values->end(), made.begin(), [](int64_t v) { return static_cast<int32_t>(v); });
  return made;
}

Result<Tensors> quantize_linear(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<Layout> layout = layout_of(context, inputs[0].dims(), inputs[1].dims());
  if (!layout) return layout.error();
  Result<Tensor> x = to_f32(context, inputs[0]);
  if (!x) return x.error();
  Result<Tensor> scale = to_f32(context, inputs[1]);
  if (!scale) return scale.error();
  Result<std::vector<int32_t>> zero = zero_points(context, inputs, static_cast<size_t>(scale->size()));
  if (!zero) return zero.error();
  const DType dtype = is_present(inputs, 2) ? inputs[2].dtype() : DType::u8;
  const int32_t low = dtype == DType::s8 ? -128 : 0, high = dtype == DType::s8 ? 127 : 255;
  std::vector<int32_t> codes(static_cast<size_t>(x->size()));
  for (size_t i = 0; i < codes.size(); ++i) {
    const size_t c = layout->at(i);
    const float v = x->as<float>()[i] / scale->as<float>()[c];
    // +-2^30 lies beyond every code, so clamping first changes nothing but keeps the conversion defined.
    const auto rounded = std::isnan(v) ? 0 : static_cast<int32_t>(std::nearbyint(std::clamp(v, -0x1p30f, 0x1p30f)));
    codes[i] = std::clamp(rounded + (*zero)[c], low, high);
  }
  return codes_tensor(dtype, inputs[0].dims(), codes);
}

Result<Tensors> dequantize_linear(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<Layout> layout = layout_of(context, inputs[0].dims(), inputs[1].dims());
  if (!layout) return layout.error();
  Result<Tensor> scale = to_f32(context, inputs[1]);
  if (!scale) return scale.error();
  Result<std::vector<int32_t>> zero = zero_points(context, inputs, static_cast<size_t>(scale->size()));
  if (!zero) return zero.error();
  Result<std::vector<int64_t>> q = to_int64s(inputs[0]);
  if (!q) return q.error();
  std::vector<float> x(q->size());
  for (size_t i = 0; i < x.size(); ++i)
    x[i] = static_cast<float>((*q)[i] - (*zero)[layout->at(i)]) * scale->as<float>()[layout->at(i)];
  return from_f32(context, inputs[1].dtype(), inputs[0].dims(), x);
}

}  // namespace

const OpDef quantize_linear_op = {.name = "QuantizeLinear",
                                  .min_inputs = 2,
                                  .max_inputs = 3,
                                  .attributes = k_attributes,
                                  .infer = infer_quantize,
                                  .reference = quantize_linear,
                                  .validate = validate};
const OpDef dequantize_linear_op = {.name = "DequantizeLinear",
                                    .min_inputs = 2,
                                    .max_inputs = 3,
                                    .attributes = k_attributes,
                                    .infer = infer_dequantize,
                                    .reference = dequantize_linear,
                                    .validate = validate};

}  // namespace octet
