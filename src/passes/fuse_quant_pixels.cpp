// src/passes/fuse_quant_pixels.cpp: Cast of a u8 image -> arithmetic that treats each channel alike everywhere ->
// QuantizeLinear becomes QuantPixels: a pixel has 256 values, so a table for each channel holds all answers. This is
// how networks that take pixels begin: (x - mean) / std between the picture and the first convolution.

#include <algorithm>

#include "passes/element_chain.h"
#include "passes/passes.h"

namespace octet {
namespace {

constexpr int64_t k_side = 16;  // an image of 16 x 16 pixels holds every value once

/// The channels of a u8 value [N,C,H,W]; 0 = it is no such image.
int64_t channels_of(const Value& value) {
  if (value.dtype != DType::u8 || !value.shape || value.shape->size() != 4) return 0;
  return std::max<int64_t>(extent(value, 1), 0);
}

/// One element gives one element, by constants that depend on its channel only.
bool is_by_channel(const Graph& graph, const Node& node, size_t data, int64_t channels) {
  if (node.outputs.size() != 1 || is_any(node, {"QuantizeLinear", "DequantizeLinear", "Cast"})) return false;
  if (graph.value(node.outputs[0]).dtype != DType::f32) return false;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    if (i == data || node.inputs[i] == k_absent) continue;
    const Tensor* const constant = graph.constant(node.inputs[i]);
    if (!constant) return false;
    if (constant->size() != 1 && !per_channel_constant(graph, node.inputs[i], 4, channels)) return false;
    if (constant->rank() > 4) return false;
  }
  return true;
}

/// A 1x1 convolution of each channel by itself, as a BatchNormalization of the image has become.
bool is_affine(const Graph& graph, const Node& node, int64_t channels) {
  if (!is_op(node, "Conv") || node.inputs.size() < 2 || int_attribute(node, "group", 1) != channels) return false;
  const Tensor* const weights = graph.constant(node.inputs[1]);
  if (!weights || weights->dims() != Dims{channels, 1, 1, 1}) return false;
  if (node.inputs.size() > 2 && node.inputs[2] != k_absent && !graph.constant(node.inputs[2])) return false;
  const auto all = [&](const char* attribute, int64_t value) {
    const std::vector<int64_t> list = ints_attribute(node, attribute, {});
    return std::all_of(list.begin(), list.end(), [&](int64_t v) { return v == value; });
  };
  return string_attribute(node, "auto_pad", "NOTSET") == "NOTSET" && all("pads", 0) && all("strides", 1);
}

struct Source {
  ValueId image = k_absent;
  int64_t channels = 0;
  std::vector<NodeId> chain;  // in running order, the Cast first
};

std::optional<Source> source_of(const Editor& editor, ValueId v) {
  const Graph& graph = editor.graph();
  Source source;
  while (editor.single_use(v)) {
    const NodeId id = editor.producer(v);
    if (id < 0) return std::nullopt;
    const Node& node = editor.node(id);
    source.chain.push_back(id);
    if (is_op(node, "Cast")) {
      source.image = node.inputs[0];
      source.channels = channels_of(graph.value(source.image));
      break;
    }
    const std::optional<size_t> data = is_op(node, "Conv") ? std::optional<size_t>(0) : element_input(graph, node);
    if (!data) return std::nullopt;
    v = node.inputs[*data];
  }
  if (source.image == k_absent || source.channels == 0 || graph.constant(source.image)) return std::nullopt;
  std::reverse(source.chain.begin(), source.chain.end());
  for (size_t i = 1; i < source.chain.size(); ++i) {
    const Node& node = editor.node(source.chain[i]);
    const bool fits = is_op(node, "Conv") ? is_affine(graph, node, source.channels)
                                          : is_by_channel(graph, node, *element_input(graph, node), source.channels);
    if (!fits) return std::nullopt;
  }
  return source;
}

/// All pixel values of each channel through the nodes' reference kernels: [C,256].
Result<Tensor> table_of(const Graph& graph, const Source& source, std::span<const Node> chain) {
  std::vector<uint8_t> pixels;
  for (int64_t i = 0; i < source.channels * k_side * k_side; ++i) pixels.push_back(static_cast<uint8_t>(i % 256));
  Tensor data = Tensor::from<uint8_t>(DType::u8, {1, source.channels, k_side, k_side}, pixels);
  for (const Node& node : chain) {
    const size_t place = is_op(node, "Conv") ? 0 : element_input(graph, node).value_or(0);
    std::vector<Tensor> inputs;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const Tensor* const constant = node.inputs[i] == k_absent ? nullptr : graph.constant(node.inputs[i]);
      inputs.push_back(i == place ? data : constant ? *constant : Tensor());
    }
    Result<std::vector<Tensor>> y = node.op->reference(NodeContext{graph, node}, inputs);
    if (!y) return y.error();
    data = std::move((*y)[0]);
  }
  return data.reshaped({source.channels, k_side * k_side});
}

}  // namespace

Result<Changed> fuse_quant_pixels(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (!is_op(editor.node(id), "QuantizeLinear")) continue;
    const Node quantize = editor.node(id);
    if (!code_params(graph, quantize)) continue;
    const std::optional<Source> source = source_of(editor, quantize.inputs[0]);
    if (!source) continue;
    std::vector<Node> chain;
    for (const NodeId inner : source->chain) chain.push_back(editor.node(inner));
    chain.push_back(quantize);
    Result<Tensor> table = table_of(graph, *source, chain);
    if (!table) return table.error();
    const std::string name = editor.node(source->chain.back()).name;
    const ValueId entries = editor.add_constant(graph.value(quantize.outputs[0]).name + "_table", std::move(*table));
    for (auto inner = source->chain.rbegin(); inner != source->chain.rend(); ++inner) editor.remove(*inner);
    editor.replace(id, make_node("QuantPixels", name, {source->image, entries}, quantize.outputs));
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
