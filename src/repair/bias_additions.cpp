// For a file that other engines run: ONNX Runtime's default optimizations put the float bias of a convolution between
// DequantizeLinear and QuantizeLinear on the grid x_scale * w_scale (WeightBiasQuantization), which changes answers. A
// float bias off that grid is written as an Add behind the convolution, which nobody rounds: the same numbers, and the
// convolution's products stay exact. octet's own integer convolution takes the Add in again (passes/fold_bias_add.cpp).
// Source: onnxruntime/core/optimizer/qdq_transformer/weight_bias_quantization.cc, where a bias must be a constant and
// only Relu and Clip may stand before the QuantizeLinear.

#include <algorithm>
#include <cmath>

#include "repair/parameters.h"
#include "repair/repair.h"

namespace octet {
namespace {

/// Whether only Relu and Clip, each with one reader, stand between the layer and a QuantizeLinear.
bool ends_in_codes(const Editor& editor, const Node& layer) {
  NodeId reader = editor.only_reader(layer.outputs[0]);
  while (reader >= 0 && is_any(editor.node(reader), {"Relu", "Clip"}))
    reader = editor.only_reader(editor.node(reader).outputs[0]);
  return reader >= 0 && is_quantize(editor.node(reader));
}

constexpr double k_largest_code = 2147483520;  // the largest float below 2^31: what an int32 bias can hold

/// Whether every number of the bias is a whole multiple of x_scale * w_scale that int32 holds, as near as float tells.
bool is_on_grid(const Tensor& bias, float x_scale, const std::vector<float>& w_scale) {
  for (int64_t c = 0; c < bias.size(); ++c) {
    const double step = double{x_scale} * double{w_scale[w_scale.size() == 1 ? 0 : static_cast<size_t>(c)]};
    const double code = double{bias.at<float>(c)} / step;
    if (!(std::abs(code) <= k_largest_code)) return false;  // the scale of a dead channel
    if (!(std::abs(code - std::nearbyint(code)) <= 1e-4 + std::abs(code) * 0x1p-23)) return false;
  }
  return true;
}

/// An infinite bias saturates the codes and is apart like any other; of a NaN ONNX says nothing.
bool has_nan(const Tensor& bias) {
  const std::span<const float> all = bias.as<float>();
  return std::any_of(all.begin(), all.end(), [](float x) { return std::isnan(x); });
}

/// The bias of an integer convolution that another engine would round, else null.
const Tensor* exposed_bias(const Editor& editor, const Node& conv) {
  const Graph& graph = editor.graph();
  const Tensor* bias = constant_of(graph, input(conv, 2), DType::f32);
  const Node* x = editor.producer(conv.inputs[0], "DequantizeLinear");
  const Node* w = editor.producer(conv.inputs[1], "DequantizeLinear");
  if (!bias || bias->rank() != 1 || has_nan(*bias) || !x || !w || !ends_in_codes(editor, conv)) return nullptr;
  const std::optional<CodeParams> data = code_params(graph, *x);
  const std::optional<StoredCodes> weight = stored_codes(graph, *w);
  if (!data || !weight || (weight->scale.size() != 1 && weight->scale.size() != static_cast<size_t>(bias->size())))
    return nullptr;
  return is_on_grid(*bias, data->scale, weight->scale) ? nullptr : bias;
}

}  // namespace

Result<Done> bias_additions(Graph& graph, RepairLog& log) {
  Editor editor(graph);
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (!is_any(editor.node(id), {"Conv", "ConvTranspose"}) || !graph.value(editor.node(id).inputs[1]).shape) continue;
    Node conv = editor.node(id);
    const Tensor* bias = exposed_bias(editor, conv);
    if (!bias) continue;
    // The bias broadcasts over the picture: [C] behind a Conv of rank r is [1, C, 1, ...].
    Dims dims(graph.value(conv.inputs[1]).shape->size(), 1);
    dims[1] = bias->size();
    const std::span<const float> numbers = bias->as<float>();
    const Tensor spread = f32_tensor(dims, {numbers.begin(), numbers.end()});
    const std::string place = label(graph, conv);
    const ValueId sum = conv.outputs[0];
    const ValueId added = editor.add_constant(graph.value(conv.inputs[2]).name + "_added", spread);
    const ValueId products = editor.add_value(graph.value(sum).name + "_products", sum);
    conv.inputs.resize(2);
    conv.outputs[0] = products;
    // The convolution's node becomes the Add, so that readers keep their order; the convolution runs just before.
    const std::string add_name = conv.name.empty() ? std::string() : unique_node_name(graph, conv.name + "/bias");
    editor.replace(id, make_node("Add", add_name, {products, added}, {sum}));
    editor.insert_before(id, std::move(conv));
    log.add(place, "f32 bias off the grid x_scale * w_scale, which ONNX Runtime's default optimizations round",
            "the same numbers in an Add behind it");
  }
  return Done{};
}

}  // namespace octet
