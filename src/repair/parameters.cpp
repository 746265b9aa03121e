#include "repair/parameters.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace octet {

bool holds_q_or_dq(const Graph& graph) { return std::any_of(graph.nodes.begin(), graph.nodes.end(), is_q_or_dq); }

std::string short_text(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", x);
  return text;
}

std::string params_text(const CodeParams& params) {
  return std::string(name(params.dtype)) + " zero point " + std::to_string(params.zero_point) + ", scale " +
         short_text(params.scale);
}

std::string params_text(const Graph& graph, const Node& node) {
  if (const std::optional<CodeParams> params = code_params(graph, node)) return params_text(*params);
  const DType dtype = is_quantize(node) ? graph.value(node.outputs[0]).dtype : graph.value(node.inputs[0]).dtype;
  const Tensor* scale = graph.constant(node.inputs[1]);
  if (!scale) return std::string(name(dtype)) + ", scale not constant";
  if (scale->size() == 1) return std::string(name(dtype)) + ", scale " + short_text(to_doubles(*scale)[0]);
  return std::string(name(dtype)) + ", " + std::to_string(scale->size()) + " scales along axis " +
         std::to_string(int_attribute(node, "axis", 1));
}

Tensor code_tensor(DType dtype, const Dims& dims, std::span<const int32_t> values) {
  if (dtype == DType::u8) return Tensor::from<uint8_t>(dtype, dims, std::vector<uint8_t>(values.begin(), values.end()));
  if (dtype == DType::s8) return Tensor::from<int8_t>(dtype, dims, std::vector<int8_t>(values.begin(), values.end()));
  return Tensor::from<int32_t>(DType::s32, dims, values);
}

Tensor code_scalar(DType dtype, int32_t value) { return code_tensor(dtype, {}, std::span(&value, 1)); }

size_t StoredCodes::channel(size_t i) const {
  if (scale.size() == 1) return 0;
  size_t inner = 1;
  for (size_t d = axis + 1; d < dims.size(); ++d) inner *= static_cast<size_t>(dims[d]);
  return i / inner % scale.size();
}

std::optional<StoredCodes> stored_codes(const Graph& graph, const Node& node) {
  const Tensor* q = graph.constant(node.inputs[0]);
  const Tensor* scale = constant_of(graph, node.inputs[1], DType::f32);
  if (!q || !scale || scale->rank() > 1 || scale->size() == 0 || int_attribute(node, "block_size", 0) != 0)
    return std::nullopt;
  std::optional<std::vector<int64_t>> codes = constant_ints(graph, node.inputs[0]);
  if (!codes) return std::nullopt;
  StoredCodes stored{std::move(*codes), q->dims(), {scale->as<float>().begin(), scale->as<float>().end()}, 0};
  if (stored.scale.size() > 1) {
    const auto rank = static_cast<int64_t>(q->rank());
    const int64_t axis = int_attribute(node, "axis", 1);
    if (axis < -rank || axis >= rank) return std::nullopt;
    stored.axis = static_cast<size_t>(axis < 0 ? axis + rank : axis);
    if (static_cast<int64_t>(stored.scale.size()) != q->dims()[stored.axis]) return std::nullopt;
  }
  if (input(node, 2) == k_absent) return stored;
  const std::optional<std::vector<int64_t>> zero = constant_ints(graph, input(node, 2));
  if (!zero || (zero->size() != 1 && zero->size() != stored.scale.size())) return std::nullopt;
  for (size_t i = 0; i < stored.codes.size(); ++i)
    stored.codes[i] -= (*zero)[zero->size() == 1 ? 0 : stored.channel(i)];
  return stored;
}

std::vector<double> scales_of(const Graph& graph, ValueId factor, ValueId x, int64_t& axis) {
  if (const auto s = scalar_constant(graph, factor)) return {double{*s}};
  const Tensor* tensor = constant_of(graph, factor, DType::f32);
  const std::optional<Shape>& shape = graph.value(x).shape;
  if (!tensor || !shape || tensor->rank() > shape->size()) return {};
  const Dims& dims = tensor->dims();
  const size_t lead = shape->size() - dims.size();
  std::optional<size_t> longer;
  for (size_t d = 0; d < dims.size(); ++d) {
    if (dims[d] == 1) continue;
    if (longer || dims[d] != (*shape)[lead + d].value) return {};
    longer = d;
  }
  axis = static_cast<int64_t>(lead + longer.value_or(0));
  return to_doubles(*tensor);
}

bool are_positive(const std::vector<double>& scales) {
  return !scales.empty() &&
         std::all_of(scales.begin(), scales.end(), [](double s) { return s > 0 && std::isfinite(s); });
}

std::optional<size_t> output_channel_axis(const Graph& graph, const Node& layer) {
  if (layer.inputs.size() < 2) return std::nullopt;
  const std::optional<Shape>& w = graph.value(layer.inputs[1]).shape;
  if (!w || w->size() < 2) return std::nullopt;
  if (is_op(layer, "Conv")) return 0;
  if (is_op(layer, "ConvTranspose")) return 1;
  if (is_op(layer, "Gemm")) return int_attribute(layer, "transB", 0) != 0 ? 0 : 1;
  if (is_op(layer, "MatMul")) return w->size() - 1;
  return std::nullopt;
}

}  // namespace octet
