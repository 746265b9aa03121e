// src/passes/batch_norm_of_codes.cpp: DequantizeLinear(x) -> BatchNormalization [-> activation] -> QuantizeLinear,
// where the BatchNormalization's parameters are constants or dequantized constants (pre-activation networks as ONNX
// Runtime's quantizer writes them), becomes a depthwise 1x1 Conv of quantized weights, which fuse_quant_conv takes: the
// weight's code is 127 or -127 and its scale |gamma / sqrt(var + eps)| / 127 by channel, rounded to float. The bias
// lies on a grid of x_scale * that scale, and fuse_quant_conv keeps what the grid takes from it in steps that all
// channels share, 1 / 127 of the largest remainder. Where gamma is 0 the weight is 0 and the scale such that the bias
// is 2^20 or -2^20 units of its grid. A BatchNormalization whose channels differ so much that the shared step would
// move one of them by more than 1 / 16 of a step of y stays as it is.

#include <algorithm>
#include <cmath>
#include <limits>

#include "passes/channel_affine.h"
#include "passes/epilogue.h"
#include "passes/passes.h"

namespace octet {
namespace {

constexpr int8_t k_code = 127;
constexpr double k_most_bias = 1 << 30;       // in units of the grid: int32 holds bias and product
constexpr double k_lone_bias = 1 << 20;       // the same, where gamma is 0: float has 2^24
constexpr double k_remainder_codes = 127;     // fuse_quant_conv's, from 0 to the largest remainder
constexpr double k_most_change = 1.0 / 16.0;  // of a step of y, by the rounding of a remainder

/// The parameter, or constant(parameter) where it lies behind a DequantizeLinear of constants; k_absent for others.
ValueId as_constant(Editor& editor, ValueId v) {
  const Graph& graph = editor.graph();
  if (graph.constant(v)) return v;
  const Node* node = editor.producer(v, "DequantizeLinear");
  if (!node || !std::all_of(node->inputs.begin(), node->inputs.end(),
                            [&](ValueId i) { return i == k_absent || graph.constant(i); }))
    return k_absent;
  std::vector<Tensor> inputs;
  for (const ValueId i : node->inputs) inputs.push_back(i == k_absent ? Tensor() : *graph.constant(i));
  const Result<std::vector<Tensor>> values = node->op->reference(NodeContext{graph, *node}, inputs);
  return values ? editor.add_constant(graph.value(v).name + "_values", values->front()) : k_absent;
}

/// The scale of the QuantizeLinear that v reaches, directly or through an activation.
std::optional<float> quantized_scale(const Editor& editor, ValueId v) {
  for (int i = 0; i < 2; ++i) {
    const NodeId reader = editor.only_reader(v);
    if (reader < 0) return std::nullopt;
    if (is_op(editor.node(reader), "QuantizeLinear")) {
      const std::optional<CodeParams> params = code_params(editor.graph(), editor.node(reader));
      return params && editor.node(reader).inputs[0] == v ? std::optional(params->scale) : std::nullopt;
    }
    if (!match_activation(editor.graph(), editor.node(reader))) return std::nullopt;
    v = editor.node(reader).outputs[0];
  }
  return std::nullopt;
}

struct DepthwiseCodes {
  std::vector<int8_t> weight;
  std::vector<float> scale, bias;
};

/// The weight's scale of a channel.
double weight_scale(double factor, double shift, float x_scale) {
  if (factor != 0) return std::abs(factor) / k_code;
  return shift == 0 ? 1.0 : std::abs(shift) / (k_lone_bias * double{x_scale});
}

/// Whether each channel's bias keeps its number but for k_most_change of y_scale.
bool keeps_biases(const DepthwiseCodes& codes, float x_scale, float y_scale) {
  std::vector<double> remainder;
  double largest = 0;
  for (size_t c = 0; c < codes.bias.size(); ++c) {
    remainder.push_back(std::remainder(double{codes.bias[c]}, double{x_scale} * double{codes.scale[c]}));
    largest = std::max(largest, std::abs(remainder.back()));
  }
  const double step = largest / k_remainder_codes;
  return std::all_of(remainder.begin(), remainder.end(), [&](double r) {
    return r == 0 || std::abs(std::remainder(r, step)) <= k_most_change * double{y_scale};
  });
}

/// Nothing where a number is not finite or does not fit.
std::optional<DepthwiseCodes> depthwise_codes(const ChannelAffine& affine, float x_scale) {
  DepthwiseCodes codes;
  for (size_t c = 0; c < affine.scale.size(); ++c) {
    const double factor = affine.scale[c], shift = affine.shift[c];
    const auto scale = static_cast<float>(weight_scale(factor, shift, x_scale));
    if (!std::isfinite(scale) || scale < std::numeric_limits<float>::min() ||
        !(std::abs(shift) < k_most_bias * double{x_scale} * double{scale}))
      return std::nullopt;
    codes.weight.push_back(factor == 0 ? int8_t{0} : factor < 0 ? int8_t{-k_code} : k_code);
    codes.scale.push_back(scale);
    codes.bias.push_back(static_cast<float>(shift));
  }
  return codes;
}

}  // namespace

Result<Changed> batch_norm_of_codes(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0, end = editor.node_count(); id < end; ++id) {
    if (!is_op(editor.node(id), "BatchNormalization")) continue;
    Node node = editor.node(id);
    const Value& x = graph.value(node.inputs[0]);
    const std::optional<Codes> x_codes = codes_behind(editor, node.inputs[0]);
    const std::optional<float> y_scale = quantized_scale(editor, node.outputs[0]);
    if (!x_codes || graph.constant(x_codes->value) || !x.shape || x.shape->size() != 4 || !y_scale) continue;
    for (size_t i = 1; i < node.inputs.size(); ++i) node.inputs[i] = as_constant(editor, node.inputs[i]);
    if (std::count(node.inputs.begin(), node.inputs.end(), k_absent) > 0) continue;
    const std::optional<ChannelAffine> affine = batch_norm_affine(graph, node);
    const std::optional<DepthwiseCodes> codes =
        affine && !affine->scale.empty() ? depthwise_codes(*affine, x_codes->params.scale) : std::nullopt;
    if (!codes || !keeps_biases(*codes, x_codes->params.scale, *y_scale)) continue;
    const auto channels = static_cast<int64_t>(codes->scale.size());
    const std::string base = label(graph, node);
    const ValueId w =
        editor.add_constant(base + "_w", Tensor::from<int8_t>(DType::s8, {channels, 1, 1, 1}, codes->weight));
    const ValueId w_scale = editor.add_constant(base + "_w_scale", f32_tensor({channels}, codes->scale));
    const ValueId b = editor.add_constant(base + "_shift", f32_tensor({channels}, codes->bias));
    const ValueId dequantized =
        editor.add_value(base + "_dequantized_w", DType::f32, to_shape(Dims{channels, 1, 1, 1}));
    editor.insert_before(id, make_node("DequantizeLinear", "", {w, w_scale}, {dequantized}, {{"axis", int64_t{0}}}));
    editor.replace(id, make_node("Conv", node.name, {node.inputs[0], dequantized, b}, {node.outputs[0]},
                                 {{"group", channels}, {"kernel_shape", std::vector<int64_t>{1, 1}}}));
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
