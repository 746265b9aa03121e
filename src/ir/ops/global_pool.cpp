// GlobalAveragePool, GlobalMaxPool, GlobalLpPool and the integer average: one value per channel, spatial extents
// become 1. Source: ONNX operators of the same names, opset 1. QuantGlobalAveragePool: README.md form 4.
#include <algorithm>

#include "ir/ops/common.h"
#include "ir/ops/fused.h"
#include "ir/ops/window.h"

namespace octet {
namespace {

constexpr std::string_view k_lp_attributes[] = {"p"};
constexpr std::string_view k_quant_attributes[] = {"x_scale", "x_zero_point", "y_scale", "y_zero_point", "to"};

Result<std::optional<Shape>> global_shape(const NodeContext& context) {
  if (!context.shape(0)) return std::optional<Shape>();
  const Shape& x = *context.shape(0);
  if (Result<size_t> spatial = spatial_rank(context, x.size()); !spatial) return spatial.error();
  Shape y(x.size(), Dim(1));
  y[0] = x[0];
  y[1] = x[1];
  return std::optional<Shape>(std::move(y));
}

/// Output dims and pixels per plane.
Result<std::pair<Dims, int64_t>> planes_of(const NodeContext& context, const Dims& x) {
  if (Result<size_t> spatial = spatial_rank(context, x.size()); !spatial) return spatial.error();
  Dims y(x.size(), 1);
  y[0] = x[0];
  y[1] = x[1];
  const int64_t pixels = *element_count(std::span(x).subspan(2));
  if (pixels == 0) return context.error("input " + to_string(x) + " has no elements to pool");
  return std::pair(std::move(y), pixels);
}

Result<ValueTypes> infer(const NodeContext& context) {
  if (Result<Done> ok = require_float(context, 0); !ok) return ok.error();
  Result<std::optional<Shape>> y = global_shape(context);
  if (!y) return y.error();
  return typed(context, std::move(*y));
}

Result<ValueTypes> infer_quant(const NodeContext& context) {
  if (Result<Done> ok = require_codes(context, 0); !ok) return ok.error();
  if (Result<QuantParams> x = quant_params(context, "x", context.dtype(0)); !x) return x.error();
  Result<Requantize> requantize = requantize_of(context);
  if (!requantize) return requantize.error();
  Result<std::optional<Shape>> y = global_shape(context);
  if (!y) return y.error();
  return ValueTypes{{requantize->y.dtype, std::move(*y)}};
}

template <bool maximum>
Result<Tensors> reference(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<std::pair<Dims, int64_t>> planes = planes_of(context, inputs[0].dims());
  if (!planes) return planes.error();
  const std::vector<double> x = to_doubles(inputs[0]);
  const auto pixels = static_cast<size_t>(planes->second);
  std::vector<float> y;
  for (size_t at = 0; at < x.size(); at += pixels) {
    double value = maximum ? x[at] : 0;
    for (size_t i = at; i < at + pixels; ++i) value = maximum ? std::max(value, x[i]) : value + x[i];
    y.push_back(static_cast<float>(maximum ? value : value / static_cast<double>(pixels)));
  }
  return from_f32(context, inputs[0].dtype(), planes->first, y);
}

Result<Tensors> lp_reference(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<std::pair<Dims, int64_t>> planes = planes_of(context, inputs[0].dims());
  if (!planes) return planes.error();
  const auto p = static_cast<double>(std::max<int64_t>(int_attribute(context.node, "p", 2), 1));
  const std::vector<double> x = to_doubles(inputs[0]);
  const auto pixels = static_cast<size_t>(planes->second);
  std::vector<double> y;
  for (size_t at = 0; at < x.size(); at += pixels) {
    double sum = 0;
    for (size_t i = at; i < at + pixels; ++i) sum += std::pow(std::fabs(x[i]), p);
    y.push_back(std::pow(sum, 1 / p));
  }
  return from_doubles(context, inputs[0].dtype(), planes->first, y);
}

Result<Tensors> quant_reference(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<std::pair<Dims, int64_t>> planes = planes_of(context, inputs[0].dims());
  if (!planes) return planes.error();
  Result<Requantize> requantize = requantize_of(context);
  if (!requantize) return requantize.error();
  Result<QuantParams> xq = quant_params(context, "x", inputs[0].dtype());
  if (!xq) return xq.error();
  const std::vector<int32_t> x = code_values(inputs[0]);
  const auto pixels = static_cast<size_t>(planes->second);
  const double m = static_cast<double>(xq->scale) / (requantize->y_scale() * static_cast<double>(pixels));
  LayerOutputs y(*requantize);
  for (size_t at = 0; at < x.size(); at += pixels) {
    int64_t sum = 0;
    for (size_t i = at; i < at + pixels; ++i) sum += x[i] - xq->zero_point;
    Result<int32_t> acc = accumulator(context, sum);
    if (!acc) return acc.error();
    y.add(static_cast<float>(*acc) * static_cast<float>(m));
  }
  return y.tensor(planes->first);
}

}  // namespace

const OpDef global_average_pool_op = {.name = "GlobalAveragePool",
                                      .infer = infer,
                                      .reference = reference<false>,
                                      .quant = {.role = QuantRole::pool_average}};
const OpDef global_max_pool_op = {.name = "GlobalMaxPool", .infer = infer, .reference = reference<true>};
const OpDef global_lp_pool_op = {
    .name = "GlobalLpPool", .attributes = k_lp_attributes, .infer = infer, .reference = lp_reference};
const OpDef quant_global_average_pool_op = {.name = "QuantGlobalAveragePool",
                                            .attributes = k_quant_attributes,
                                            .infer = infer_quant,
                                            .reference = quant_reference,
                                            .is_onnx = false};

}  // namespace octet
