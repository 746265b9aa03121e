#include "passes/quant_layer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace octet {
namespace {

/// Constant parameters of a DequantizeLinear of a constant.
struct Dequantized {
  std::vector<int64_t> codes;   // zero point subtracted; empty where as_s8 is there
  std::optional<Tensor> as_s8;  // the codes as they lie in the file, where they are s8 and have no zero point
  Dims dims;
  std::vector<float> scale;  // one, or one for each index of the axis
  size_t axis = 0;
};

/// wants_s8: s8 codes are not widened. They may be those of a whole network, and the file's pages serve them.
std::optional<Dequantized> dequantized_constant(const Editor& editor, ValueId v, bool wants_s8 = false) {
  const Graph& graph = editor.graph();
  const Node* node = editor.producer(v, "DequantizeLinear");
  if (!node || int_attribute(*node, "block_size", 0) != 0) return std::nullopt;
  const Tensor* q = graph.constant(node->inputs[0]);
  const Tensor* scale = constant_of(graph, node->inputs[1], DType::f32);
  if (!q || !scale || scale->rank() > 1) return std::nullopt;
  std::optional<std::vector<int64_t>> zero;
  if (input(*node, 2) != k_absent) {
    zero = constant_ints(graph, input(*node, 2));
    if (!zero || zero->empty()) return std::nullopt;
    if (std::any_of(zero->begin(), zero->end(), [&](int64_t z) { return z != zero->front(); })) return std::nullopt;
  }
  const int64_t zero_point = zero ? zero->front() : 0;
  Dequantized result{{}, {}, q->dims(), {scale->as<float>().begin(), scale->as<float>().end()}, 0};
  if (wants_s8 && q->dtype() == DType::s8 && zero_point == 0) {
    result.as_s8 = *q;
  } else {
    std::optional<std::vector<int64_t>> codes = constant_ints(graph, node->inputs[0]);
    if (!codes) return std::nullopt;
    result.codes = std::move(*codes);
    for (int64_t& code : result.codes) code -= zero_point;
  }
  const int64_t axis = int_attribute(*node, "axis", 1);
  const auto rank = static_cast<int64_t>(q->rank());
  if (result.scale.size() > 1) {
    if (axis < -rank || axis >= rank) return std::nullopt;
    result.axis = static_cast<size_t>(axis < 0 ? axis + rank : axis);
    if (static_cast<int64_t>(result.scale.size()) != q->dims()[result.axis]) return std::nullopt;
  }
  return result;
}

/// Codes as s8 with output channels first.
std::optional<Tensor> weight_codes(const Dequantized& w, size_t channel_axis) {
  if (channel_axis > 1 || (channel_axis == 1 && w.dims.size() != 2)) return std::nullopt;
  if (std::any_of(w.codes.begin(), w.codes.end(), [](int64_t q) { return q < -128 || q > 127; })) return std::nullopt;
  if (w.as_s8 && channel_axis == 0) return w.as_s8;
  std::vector<int8_t> codes(w.codes.begin(), w.codes.end());
  if (w.as_s8) codes.assign(w.as_s8->as<int8_t>().begin(), w.as_s8->as<int8_t>().end());
  if (channel_axis == 0) return Tensor::from<int8_t>(DType::s8, w.dims, codes);
  const int64_t k = w.dims[0], n = w.dims[1];
  std::vector<int8_t> transposed(codes.size());
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < k; ++j) transposed[static_cast<size_t>(i * k + j)] = codes[static_cast<size_t>(j * n + i)];
  return Tensor::from<int8_t>(DType::s8, {n, k}, transposed);
}

/// A bias as real = code * unit; a float constant is its own code with unit 1.
struct RealBias {
  std::vector<double> code, unit;
};

std::optional<RealBias> real_bias(const Editor& editor, ValueId v, size_t channels) {
  RealBias bias;
  const std::optional<Shape>& shape = editor.graph().value(v).shape;
  if (shape && shape->size() > 1 && (shape->size() > 2 || extent(editor.graph().value(v), 0) != 1))
    return std::nullopt;  // [channels, 1] goes along the rows of a Gemm
  if (const Tensor* b = constant_of(editor.graph(), v, DType::f32)) {
    bias.code.assign(b->as<float>().begin(), b->as<float>().end());
    bias.unit.assign(bias.code.size(), 1.0);
  } else {
    const std::optional<Dequantized> dequantized = dequantized_constant(editor, v);
    if (!dequantized) return std::nullopt;
    const std::vector<float>& scale = dequantized->scale;
    bias.code.assign(dequantized->codes.begin(), dequantized->codes.end());
    for (size_t c = 0; c < bias.code.size(); ++c) bias.unit.push_back(scale[scale.size() == 1 ? 0 : c]);
  }
  if (bias.code.size() != channels) return std::nullopt;
  return bias;
}

/// The code in units of `grid`. A unit that is the grid but for the rounding of a float product keeps its codes; every
/// other bias is rounded once, and one that was not written on the grid is reported.
double grid_code(double code, double unit, double grid, bool& off_grid) {
  if (std::abs(unit / grid - 1.0) < 0x1p-20 && code == std::nearbyint(code)) return code;
  const double ratio = code * unit / grid;
  const double nearest = std::nearbyint(ratio);
  // A bias on the grid but written as float is off by half an ulp: 2^-24 of itself.
  off_grid = off_grid || std::abs(ratio - nearest) > 1e-4 + std::abs(nearest) * 0x1p-23;
  return nearest;
}

std::optional<Tensor> grid_bias(const RealBias& real, float x_scale, QuantLayer& layer, std::string& note) {
  std::vector<int32_t> codes;
  std::vector<double> remainder;
  double largest_change = 0.0;
  bool off_grid = false;
  for (size_t c = 0; c < real.code.size(); ++c) {
    const double grid = double{x_scale} * double{layer.w_scale[c]};
    const double code = grid_code(real.code[c], real.unit[c], grid, off_grid);
    if (!(std::abs(code) < k_accumulator_limit)) return std::nullopt;
    largest_change = std::max(largest_change, std::abs(code * grid - real.code[c] * real.unit[c]));
    codes.push_back(static_cast<int32_t>(code));
    remainder.push_back(real.code[c] * real.unit[c] - code * grid);
  }
  if (off_grid) {
    layer.remainder = std::move(remainder);
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.3g", largest_change);
    note = "bias rounded once to the grid x_scale * w_scale, by up to " + std::string(text.data());
  }
  return Tensor::from<int32_t>(DType::s32, {static_cast<int64_t>(codes.size())}, codes);
}

}  // namespace

double accumulator_bound(const QuantLayer& layer) {
  const auto channels = static_cast<int64_t>(layer.w_scale.size());
  const int64_t per_channel = channels == 0 ? 0 : layer.weight.size() / channels;
  double bound = 0.0;
  for (int64_t c = 0; c < channels; ++c) {
    double sum = 0.0;
    for (int64_t i = 0; i < per_channel; ++i)
      sum += std::abs(static_cast<double>(layer.weight.at<int8_t>(c * per_channel + i)));
    const double bias = layer.bias ? std::abs(static_cast<double>(layer.bias->at<int32_t>(c))) : 0.0;
    bound = std::max(bound, 255.0 * sum + bias);
  }
  return bound;
}

QuantLayerMatch match_quant_layer(const Editor& editor, const Node& node, float x_scale, size_t channel_axis) {
  const std::optional<Dequantized> w = dequantized_constant(editor, node.inputs[1], true);
  if (!w) return {};
  const std::string place = label(editor.graph(), node) + ": ";
  if (w->scale.size() > 1 && w->axis != channel_axis)
    return {{},
            place + "float: the weight's scales lie along axis " + std::to_string(w->axis) +
                ", not along the output channels"};
  std::optional<Tensor> codes = weight_codes(*w, channel_axis);
  if (!codes) return {{}, place + "float: the weight's codes do not fit int8"};
  QuantLayer layer{std::move(*codes), w->scale, {}, {}};
  const auto channels = static_cast<size_t>(layer.weight.dims()[0]);
  if (layer.w_scale.size() == 1) layer.w_scale.assign(channels, w->scale.front());
  std::string note;
  if (input(node, 2) != k_absent) {
    const std::optional<RealBias> real = real_bias(editor, input(node, 2), channels);
    if (!real) return {{}, place + "float: the bias is not a constant vector"};
    if (!std::all_of(real->code.begin(), real->code.end(), [](double b) { return std::isfinite(b); }))
      return {{}, place + "float: the bias holds a number that is not finite"};
    layer.bias = grid_bias(*real, x_scale, layer, note);
    if (!layer.bias) return {{}, place + "float: a bias does not fit int32 in units of x_scale * w_scale"};
  }
  if (accumulator_bound(layer) >= k_accumulator_limit)
    return {{}, place + "float: 255 * sum|w| + |bias| reaches 2^31, int32 could overflow"};
  return {std::move(layer), note.empty() ? note : place + note};
}

}  // namespace octet
