// src/passes/batch_norm_of_codes.cpp: DequantizeLinear(x) -> BatchNormalization [-> activation] -> QuantizeLinear,
// where the BatchNormalization's parameters are constants or dequantized constants (pre-activation networks as ONNX
// Runtime's quantizer writes them), becomes a depthwise 1x1 Conv of quantized weights, which fuse_quant_conv takes: the
// weight's code is 127 or -127, its scale |gamma / sqrt(var + eps)| / 127 by channel, so that no parameter is rounded
// and the bias lies on a grid of 1 / 127 of a step of x or finer.

#include <algorithm>
#include <cmath>
#include <limits>

#include "passes/channel_affine.h"
#include "passes/epilogue.h"
#include "passes/passes.h"

namespace octet {
namespace {

constexpr int8_t k_code = 127;
constexpr double k_most_bias = 1 << 30;  // in units of the grid: int32 holds bias and product

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

bool reaches_quantize(const Editor& editor, ValueId v) {
  for (int i = 0; i < 2; ++i) {
    const NodeId reader = editor.only_reader(v);
    if (reader < 0) return false;
    if (is_op(editor.node(reader), "QuantizeLinear")) return editor.node(reader).inputs[0] == v;
    if (!match_activation(editor.graph(), editor.node(reader))) return false;
    v = editor.node(reader).outputs[0];
  }
  return false;
}

struct DepthwiseCodes {
  std::vector<int8_t> weight;
  std::vector<float> scale, bias;
};

/// Nothing where a number is not finite or does not fit.
std::optional<DepthwiseCodes> depthwise_codes(const ChannelAffine& affine, float x_scale) {
  DepthwiseCodes codes;
  for (size_t c = 0; c < affine.scale.size(); ++c) {
    const double factor = affine.scale[c], shift = affine.shift[c];
    const auto scale = static_cast<float>(factor == 0 ? 1.0 : std::abs(factor) / k_code);
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
    if (!x_codes || graph.constant(x_codes->value) || !x.shape || x.shape->size() != 4 ||
        !reaches_quantize(editor, node.outputs[0]))
      continue;
    for (size_t i = 1; i < node.inputs.size(); ++i) node.inputs[i] = as_constant(editor, node.inputs[i]);
    if (std::count(node.inputs.begin(), node.inputs.end(), k_absent) > 0) continue;
    const std::optional<ChannelAffine> affine = batch_norm_affine(graph, node);
    const std::optional<DepthwiseCodes> codes =
        affine && !affine->scale.empty() ? depthwise_codes(*affine, x_codes->params.scale) : std::nullopt;
    if (!codes) continue;
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
