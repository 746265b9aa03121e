// QuantizeLinear and DequantizeLinear, per tensor, per axis or per block of an axis. Source: ONNX operators of the same
// names, opset 13 to 23. Codes of 4, 8 and 16 bits and the short floats; DequantizeLinear takes s32 too.
//   q = saturate(rne(x / scale) + zero_point), a true division, ties to even; NaN gives zero_point (ONNX is silent).
//   q = short float nearest to x / scale + zero_point
//   x = (q - zero_point) * scale
// Blocks (block_size > 0): scale has x's rank, and element i of the axis takes scale i / block_size.
#include <algorithm>
#include <cstdio>
#include <limits>

#include "ir/ops/common.h"
#include "ir/ops/fused.h"
#include "tensor/short_float.h"

namespace octet {
namespace {

constexpr std::string_view k_quantize_attributes[] = {"axis", "block_size", "precision", "saturate"};
constexpr std::string_view k_dequantize_attributes[] = {"axis", "block_size"};

/// Which scale an element of x takes. One scale: count is 1 and block 0.
struct Layout {
  int64_t extent = 1, inner = 1;  // of the axis, and elements behind it
  int64_t count = 1;              // scales along the axis
  int64_t block = 0;              // elements of the axis to a scale; 0 = one scale each, the same for all else
  size_t at(size_t i) const {
    const auto e = static_cast<size_t>(extent), in = static_cast<size_t>(inner);
    if (block == 0) return count == 1 ? 0 : i / in % e;
    const size_t outer = i / (in * e), k = i / in % e / static_cast<size_t>(block);
    return (outer * static_cast<size_t>(count) + k) * in + i % in;
  }
};

Result<Layout> block_layout(const NodeContext& context, const Dims& x, const Dims& scale, size_t axis, int64_t block) {
  Layout made{x[axis], 1, 0, block};
  bool fits = scale.size() == x.size() && block > 0;
  for (size_t d = 0; fits && d < x.size(); ++d)
    fits = scale[d] == (d == axis ? x[d] / block + (x[d] % block != 0) : x[d]);
  if (!fits)
    return context.error("scale is " + to_string(scale) + ", which does not give one scale to each block of " +
                         std::to_string(block) + " along axis " + std::to_string(axis) + " of " + to_string(x));
  made.count = scale[axis];
  for (size_t d = axis + 1; d < x.size(); ++d) made.inner *= x[d];
  return made;
}

Result<Layout> layout_of(const NodeContext& context, const Dims& x, const Dims& scale) {
  const std::optional<int64_t> count = element_count(scale);
  const int64_t block = int_attribute(context.node, "block_size", 0);
  if (block == 0 && scale.size() > 1)
    return context.error("scale is " + to_string(scale) + " without block_size; expected one scale or one per channel");
  if (block == 0 && (scale.empty() || (count && *count == 1))) return Layout{};
  Result<size_t> axis = normalized_axis(context, int_attribute(context.node, "axis", 1), x.size());
  if (!axis) return axis.error();
  if (block != 0) return block_layout(context, x, scale, *axis, block);
  if (x[*axis] != scale[0])
    return context.error("scale is " + to_string(scale) + ", but axis " + std::to_string(*axis) + " of " +
                         to_string(x) + " has " + std::to_string(x[*axis]) + " channels");
  Layout made{x[*axis], 1, scale[0], 0};
  for (size_t d = *axis + 1; d < x.size(); ++d) made.inner *= x[d];
  return made;
}

Result<Done> check_scale_type(const NodeContext& context) {
  if (is_float(context.dtype(1))) return Done{};
  return context.error("scale is " + std::string(name(context.dtype(1))) + ", expected a float type");
}

/// A subnormal float leaves x / scale without digits, or infinite: the range behind it was never measured.
std::string subnormal_text(double s) {
  char text[96];
  std::snprintf(text, sizeof text,
                "scale holds %.3g, which is subnormal; expected positive finite numbers from %.3g up", s,
                double{std::numeric_limits<float>::min()});
  return text;
}

/// Scales that are no scales, or lie along the wrong axis: a repair may mend them, so inference lets them pass.
Result<Done> validate(const NodeContext& context) {
  if (const Tensor* scale = context.constant(1))
    for (const double s : to_doubles(*scale)) {
      if (!(s > 0) || !std::isfinite(s))
        return context.error("scale holds " + std::to_string(s) + ", expected positive finite numbers");
      if (s < double{std::numeric_limits<float>::min()}) return context.error(subnormal_text(s));
    }
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

bool is_quantized_type(DType d) {
  return is_code(d) || d == DType::s16 || d == DType::u16 || d == DType::s4 || d == DType::u4 || is_short_float(d);
}

Result<ValueTypes> infer_quantize(const NodeContext& context) {
  if (context.dtype(0) != DType::s32)
    if (Result<Done> ok = require_float(context, 0); !ok) return ok.error();
  if (Result<Done> ok = check_scale_type(context); !ok) return ok.error();
  const DType dtype = context.has_input(2) ? context.dtype(2) : DType::u8;
  if (!is_quantized_type(dtype))
    return context.error("zero_point is " + std::string(name(dtype)) +
                         "; expected codes of 4, 8 or 16 bits or a short float");
  return ValueTypes{{dtype, context.shape(0)}};
}

Result<ValueTypes> infer_dequantize(const NodeContext& context) {
  const DType q = context.dtype(0);
  if (!is_quantized_type(q) && q != DType::s32)
    return context.error("input 0 is " + std::string(name(q)) +
                         ", expected codes of 4, 8 or 16 bits, a short float or s32");
  if (Result<Done> ok = check_scale_type(context); !ok) return ok.error();
  if (context.has_input(2))
    if (Result<Done> ok = require_same_dtype(context, 0, 2); !ok) return ok.error();
  return ValueTypes{{context.dtype(1), context.shape(0)}};
}

/// Zero points as numbers, one per scale.
Result<std::vector<double>> zero_points(const NodeContext& context, std::span<const Tensor> inputs, size_t count) {
  if (!is_present(inputs, 2)) return std::vector<double>(count, 0.0);
  std::vector<double> made = to_doubles(inputs[2]);
  if (made.size() == count) return made;
  return context.error("zero_point has " + std::to_string(made.size()) + " values, scale has " + std::to_string(count));
}

/// Lowest and highest code.
std::pair<int32_t, int32_t> code_range(DType dtype) {
  switch (dtype) {
    case DType::s4: return {-8, 7};
    case DType::u4: return {0, 15};
    case DType::s8: return {-128, 127};
    case DType::s16: return {-32768, 32767};
    case DType::u16: return {0, 65535};
    default: return {0, 255};
  }
}

/// What every element needs.
struct Operands {
  Layout layout;
  Tensor scale;  // f32
  std::vector<double> zero;
};

Result<Operands> operands_of(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<Layout> layout = layout_of(context, inputs[0].dims(), inputs[1].dims());
  if (!layout) return layout.error();
  Result<Tensor> scale = to_f32(context, inputs[1]);
  if (!scale) return scale.error();
  Result<std::vector<double>> zero = zero_points(context, inputs, static_cast<size_t>(scale->size()));
  if (!zero) return zero.error();
  return Operands{*layout, *scale, std::move(*zero)};
}

int32_t integer_code(float v, double zero, std::pair<int32_t, int32_t> range) {
  // +-2^30 lies beyond every code, so clamping first changes nothing but keeps the conversion defined.
  const auto rounded = std::isnan(v) ? 0 : static_cast<int32_t>(std::nearbyint(std::clamp(v, -0x1p30f, 0x1p30f)));
  return std::clamp(rounded + static_cast<int32_t>(zero), range.first, range.second);
}

Result<Tensors> quantize_linear(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<Operands> by = operands_of(context, inputs);
  if (!by) return by.error();
  const std::vector<double> x = to_doubles(inputs[0]);
  const DType dtype = is_present(inputs, 2) ? inputs[2].dtype() : DType::u8;
  const bool saturate = int_attribute(context.node, "saturate", 1) != 0;
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(dtype, inputs[0].dims());
  if (!made) return made.error();
  for (size_t i = 0; i < x.size(); ++i) {
    const size_t c = by->layout.at(i);
    const float v = static_cast<float>(x[i]) / by->scale.as<float>()[c];
    if (is_short_float(dtype)) {
      const float sum = v + static_cast<float>(by->zero[c]);
      made->second[i] = static_cast<std::byte>(short_float_code(dtype, sum, saturate));
      continue;
    }
    const auto code = static_cast<uint32_t>(integer_code(v, by->zero[c], code_range(dtype)));
    const auto half = static_cast<uint16_t>(code);
    if (size_of(dtype) == 2) {
      std::memcpy(made->second + 2 * i, &half, 2);
    } else {
      made->second[i] = static_cast<std::byte>(code & 255u);
    }
  }
  return Tensors{std::move(made->first)};
}

Result<Tensors> dequantize_linear(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<Operands> by = operands_of(context, inputs);
  if (!by) return by.error();
  const std::vector<double> q = to_doubles(inputs[0]);
  std::vector<float> x(q.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const size_t c = by->layout.at(i);
    x[i] = static_cast<float>(q[i] - by->zero[c]) * by->scale.as<float>()[c];
  }
  return from_f32(context, inputs[1].dtype(), inputs[0].dims(), x);
}

}  // namespace

const OpDef quantize_linear_op = {.name = "QuantizeLinear",
                                  .min_inputs = 2,
                                  .max_inputs = 3,
                                  .attributes = k_quantize_attributes,
                                  .infer = infer_quantize,
                                  .reference = quantize_linear,
                                  .validate = validate};
const OpDef dequantize_linear_op = {.name = "DequantizeLinear",
                                    .min_inputs = 2,
                                    .max_inputs = 3,
                                    .attributes = k_dequantize_attributes,
                                    .infer = infer_dequantize,
                                    .reference = dequantize_linear,
                                    .validate = validate};

}  // namespace octet
