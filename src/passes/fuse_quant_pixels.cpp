// src/passes/fuse_quant_pixels.cpp: Cast of a u8 image -> arithmetic that treats each channel alike everywhere ->
// QuantizeLinear becomes QuantPixels: a pixel has 256 values, so a table for each channel holds all answers. This is
// how networks that take pixels begin: (x - mean) / std between the picture and the first convolution. Where a
// picture's channels come last and a Transpose behind the QuantizeLinear brings them forward, it is the pixels that the
// Transpose turns.

#include <algorithm>

#include "passes/element_chain.h"
#include "passes/passes.h"

namespace octet {
namespace {

constexpr int64_t k_side = 16;  // an image of 16 x 16 pixels holds every value once

constexpr size_t k_first = 1, k_last = 3;  // axes of channels

/// The channels of a u8 value of rank 4; 0 = it is no such image.
int64_t channels_of(const Value& value, size_t axis) {
  if (value.dtype != DType::u8 || !value.shape || value.shape->size() != 4) return 0;
  return std::max<int64_t>(extent(value, axis), 0);
}

/// Broadcast against an image, the constant depends on the channel only.
bool is_of_channels(const Graph& graph, ValueId v, size_t axis, int64_t channels) {
  const Tensor& constant = *graph.constant(v);
  if (constant.size() == 1) return constant.rank() <= 4;
  if (axis == k_first) return per_channel_constant(graph, v, 4, channels).has_value();
  return constant.dtype() == DType::f32 && constant.rank() <= 4 && constant.size() == channels &&
         constant.dims().back() == channels;
}

/// One element gives one element, by constants that depend on its channel only.
bool is_by_channel(const Graph& graph, const Node& node, size_t data, size_t axis, int64_t channels) {
  if (node.outputs.size() != 1 || is_any(node, {"QuantizeLinear", "DequantizeLinear", "Cast"})) return false;
  if (graph.value(node.outputs[0]).dtype != DType::f32) return false;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    if (i == data || node.inputs[i] == k_absent) continue;
    if (!graph.constant(node.inputs[i]) || !is_of_channels(graph, node.inputs[i], axis, channels)) return false;
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
  size_t axis = k_first;
  int64_t channels = 0;
  std::vector<NodeId> chain;  // in running order, the Cast first
};

std::optional<Source> source_of(const Editor& editor, ValueId v, size_t axis) {
  const Graph& graph = editor.graph();
  Source source;
  source.axis = axis;
  while (editor.single_use(v)) {
    const NodeId id = editor.producer(v);
    if (id < 0) return std::nullopt;
    const Node& node = editor.node(id);
    source.chain.push_back(id);
    if (is_op(node, "Cast")) {
      source.image = node.inputs[0];
      source.channels = channels_of(graph.value(source.image), axis);
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
    const bool fits = is_op(node, "Conv")
                          ? axis == k_first && is_affine(graph, node, source.channels)
                          : is_by_channel(graph, node, *element_input(graph, node), axis, source.channels);
    if (!fits) return std::nullopt;
  }
  return source;
}

/// All pixel values of each channel through the nodes' reference kernels: [C,256].
Result<Tensor> table_of(const Graph& graph, const Source& source, std::span<const Node> chain) {
  const int64_t channels = source.channels, step = source.axis == k_last ? channels : 1;
  std::vector<uint8_t> pixels;
  for (int64_t i = 0; i < channels * k_side * k_side; ++i) pixels.push_back(static_cast<uint8_t>(i / step % 256));
  const Dims dims = source.axis == k_last ? Dims{1, k_side, k_side, channels} : Dims{1, channels, k_side, k_side};
  Tensor data = Tensor::from<uint8_t>(DType::u8, dims, pixels);
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
  if (source.axis == k_first) return data.reshaped({channels, k_side * k_side});
  std::vector<uint8_t> table;
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t i = 0; i < k_side * k_side; ++i)
      table.push_back(static_cast<uint8_t>(data.bytes()[static_cast<size_t>(i * channels + c)]));
  if (data.dtype() == DType::u8) return Tensor::from<uint8_t>(DType::u8, {channels, k_side * k_side}, table);
  const std::vector<int8_t> codes(table.begin(), table.end());
  return Tensor::from<int8_t>(DType::s8, {channels, k_side * k_side}, codes);
}

/// The Transpose that alone reads the value and brings channels from the end to axis 1; -1 = none.
NodeId turn_of(const Editor& editor, ValueId v) {
  const NodeId id = editor.only_reader(v);
  if (id < 0 || !is_op(editor.node(id), "Transpose")) return -1;
  return ints_attribute(editor.node(id), "perm", {}) == std::vector<int64_t>{0, 3, 1, 2} ? id : -1;
}

}  // namespace

Result<Changed> fuse_quant_pixels(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (!is_op(editor.node(id), "QuantizeLinear")) continue;
    const Node quantize = editor.node(id);
    if (!code_params(graph, quantize)) continue;
    NodeId turn = turn_of(editor, quantize.outputs[0]);
    std::optional<Source> source;
    if (turn >= 0) source = source_of(editor, quantize.inputs[0], k_last);
    if (!source) turn = -1, source = source_of(editor, quantize.inputs[0], k_first);
    if (!source) continue;
    std::vector<Node> chain;
    for (const NodeId inner : source->chain) chain.push_back(editor.node(inner));
    chain.push_back(quantize);
    Result<Tensor> table = table_of(graph, *source, chain);
    if (!table) return table.error();
    const std::string name = editor.node(source->chain.back()).name;
    const ValueId entries = editor.add_constant(graph.value(quantize.outputs[0]).name + "_table", std::move(*table));
    for (auto inner = source->chain.rbegin(); inner != source->chain.rend(); ++inner) editor.remove(*inner);
    if (turn >= 0) {
      const Node behind = editor.node(turn);
      const ValueId turned = editor.add_value(graph.value(source->image).name + "_turned", DType::u8,
                                              graph.value(behind.outputs[0]).shape);
      editor.replace(id, make_node("Transpose", behind.name, {source->image}, {turned}, behind.attributes));
      editor.replace(turn, make_node("QuantPixels", name, {turned, entries}, behind.outputs));
    } else {
      editor.replace(id, make_node("QuantPixels", name, {source->image, entries}, quantize.outputs));
    }
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
