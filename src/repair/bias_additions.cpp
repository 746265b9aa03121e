// For a file that other engines run: ONNX Runtime's default optimizations put the float bias of a Conv, ConvTranspose
// or Gemm between DequantizeLinear and QuantizeLinear on the grid x_scale * w_scale (WeightBiasQuantization), which
// changes answers, most where the grid is that of a dead channel and no int32 holds the bias. A float bias off that
// grid is written as an Add behind its layer, which nobody rounds (so does a Gemm's bias in codes that is no vector):
// the same numbers, and the layer's products stay exact. octet's own integer convolution takes the Add in again
// (passes/fold_bias_add.cpp). Source: onnxruntime/core/optimizer/qdq_transformer/weight_bias_quantization.cc, where a
// bias must be a constant and only Relu and Clip may stand before the QuantizeLinear.

#include <algorithm>
#include <cmath>

#include "repair/layer_grid.h"
#include "repair/repair.h"

namespace octet {
namespace {

/// The one node that reads v, whether or not v is an output of the network too (which is no reader in ONNX Runtime).
NodeId reader_of(const Editor& editor, ValueId v) { return editor.readers(v).size() == 1 ? editor.readers(v)[0] : -1; }

/// Whether only Relu and Clip, each with one reader, stand between the layer and a QuantizeLinear.
bool ends_in_codes(const Editor& editor, const Node& layer) {
  NodeId reader = reader_of(editor, layer.outputs[0]);
  while (reader >= 0 && is_any(editor.node(reader), {"Relu", "Clip"}))
    reader = reader_of(editor, editor.node(reader).outputs[0]);
  return reader >= 0 && is_quantize(editor.node(reader));
}

bool has_factors(const Node& layer) {
  return is_op(layer, "Gemm") &&
         (float_attribute(layer, "alpha", 1.0f) != 1.0f || float_attribute(layer, "beta", 1.0f) != 1.0f);
}

/// The numbers of a constant bias in codes, as DequantizeLinear has them.
std::optional<Tensor> numbers_of_codes(const Editor& editor, ValueId bias) {
  const Node* dequantize = editor.producer(bias, "DequantizeLinear");
  const std::optional<StoredCodes> stored = dequantize ? stored_codes(editor.graph(), *dequantize) : std::nullopt;
  if (!stored) return std::nullopt;
  std::vector<float> numbers;
  for (size_t i = 0; i < stored->codes.size(); ++i)
    numbers.push_back(static_cast<float>(stored->codes[i]) * stored->scale[stored->channel(i)]);
  return f32_tensor(stored->dims, numbers);
}

/// The bias of an integer layer that another engine would round, or read as the vector that it is not.
std::optional<Tensor> exposed_bias(const Editor& editor, const Node& layer) {
  const bool is_gemm = is_op(layer, "Gemm");
  const Tensor* constant = constant_of(editor.graph(), input(layer, 2), DType::f32);
  if (input(layer, 2) == k_absent || !ends_in_codes(editor, layer)) return std::nullopt;
  if (!editor.producer(layer.inputs[0], "DequantizeLinear")) return std::nullopt;
  const std::optional<Tensor> bias = constant  ? std::optional(*constant)
                                     : is_gemm ? numbers_of_codes(editor, layer.inputs[2])
                                               : std::nullopt;
  if (!bias) return std::nullopt;
  const auto count = static_cast<size_t>(bias->size());
  const std::optional<std::vector<float>> grid =
      layer_grid(editor, layer, is_gemm ? output_channels(editor, layer) : count);
  if (!grid) return std::nullopt;
  const bool is_vector = bias->rank() == 1 && count == grid->size();
  if (!is_vector && !is_gemm) return std::nullopt;
  const bool fits = is_vector && !has_factors(layer) && (!constant || is_on_grid(bias->as<float>(), *grid));
  return fits ? std::nullopt : bias;
}

/// The numbers as they broadcast behind the layer: [C] behind a Conv of rank r is [1, C, 1, ...]; beta in them.
Tensor spread(const Graph& graph, const Node& layer, const Tensor& bias) {
  std::vector<float> numbers(bias.as<float>().begin(), bias.as<float>().end());
  if (is_op(layer, "Gemm")) {
    for (float& x : numbers) x *= float_attribute(layer, "beta", 1.0f);
    return f32_tensor(bias.dims(), numbers);
  }
  Dims dims(graph.value(layer.inputs[1]).shape->size(), 1);
  dims[1] = bias.size();
  return f32_tensor(dims, numbers);
}

/// Of a NaN ONNX does not say what code QuantizeLinear makes.
std::string change_by(const Tensor& bias) {
  const std::span<const float> all = bias.as<float>();
  const bool has_nan = std::any_of(all.begin(), all.end(), [](float x) { return std::isnan(x); });
  return has_nan ? "what becomes of its NaN depends on the engine" : "";
}

}  // namespace

Result<Done> bias_additions(Graph& graph, RepairLog& log) {
  Editor editor(graph);
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    Node layer = editor.node(id);
    if (!is_any(layer, {"Conv", "ConvTranspose", "Gemm"}) || !graph.value(layer.inputs[1]).shape) continue;
    const std::optional<Tensor> bias = exposed_bias(editor, layer);
    if (!bias) continue;
    const std::string place = label(graph, layer), change = change_by(*bias);
    const bool was_f32 = constant_of(graph, layer.inputs[2], DType::f32) != nullptr;
    const ValueId sum = layer.outputs[0];
    const ValueId added =
        editor.add_constant(graph.value(layer.inputs[2]).name + "_added", spread(graph, layer, *bias));
    const ValueId products = editor.add_value(graph.value(sum).name + "_products", sum);
    layer.inputs.resize(2);
    layer.attributes.erase("beta");
    layer.outputs[0] = products;
    // The layer's node becomes the Add, so that readers keep their order; the layer runs just before.
    const std::string add_name = layer.name.empty() ? std::string() : unique_node_name(graph, layer.name + "/bias");
    editor.replace(id, make_node("Add", add_name, {products, added}, {sum}));
    editor.insert_before(id, std::move(layer));
    log.add(place,
            was_f32 ? "f32 bias off the grid x_scale * w_scale, which ONNX Runtime's default optimizations round"
                    : "bias in codes that ONNX Runtime's integer kernel reads as another",
            "the same numbers in an Add behind it", change);
  }
  return Done{};
}

}  // namespace octet
