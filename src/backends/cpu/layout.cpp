#include "backends/cpu/layout.h"

#include <algorithm>
#include <span>

#include "backends/cpu/constants.h"
#include "ir/op.h"
#include "kernels/conventions.h"
#include "kernels/implicit_gemm/tap_table.h"

namespace octet::cpu {

Layout dense_layout(DType dtype, const Dims& dims) {
  return {dtype, dims, row_major_strides(dims), element_count(dims).value_or(0), size_of(dtype)};
}

Layout layout_of(DType dtype, const Dims& dims) {
  if (dims.size() != 4) return dense_layout(dtype, dims);
  const int64_t pitch = channel_pitch(dims[1]), h = dims[2], w = dims[3];
  return {dtype, dims, {h * w * pitch, 1, w * pitch, pitch}, dims[0] * h * w * pitch, size_of(dtype), true};
}

namespace {

bool contains(const std::vector<ValueId>& list, ValueId value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

enum class Touch { image, any_order, reshape, rows };

/// What an op asks of the order of its values. The steps of all but the first kind take any strides on every side.
Touch touch_of(const Node& node) {
  constexpr std::string_view k_rows[] = {"MatMul", "QuantMatMul", "Softmax", "LogSoftmax", "LayerNormalization"};
  constexpr std::string_view k_reshapes[] = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"};
  constexpr std::string_view k_any_order[] = {"Add",
                                              "FusedAdd",
                                              "Sub",
                                              "Mul",
                                              "Div",
                                              "Min",
                                              "Max",
                                              "Pow",
                                              "Slice",
                                              "Split",
                                              "Concat",
                                              "Expand",
                                              "Identity",
                                              "QuantizeLinear",
                                              "DequantizeLinear",
                                              "QuantLookup",
                                              "QuantAdd",
                                              "QuantMul"};
  const auto is_in = [&](std::span<const std::string_view> ops) {
    return std::find(ops.begin(), ops.end(), node.op->name) != ops.end();
  };
  return is_in(k_rows)        ? Touch::rows
         : is_in(k_reshapes)  ? Touch::reshape
         : is_in(k_any_order) ? Touch::any_order
                              : Touch::image;
}

/// Copies go as fast between layouts as within one, so nothing is asked of what lies behind them.
bool moves_only(const Node& node) {
  constexpr std::string_view k_moves[] = {"Slice", "Split", "Concat", "Expand"};
  return std::find(std::begin(k_moves), std::end(k_moves), node.op->name) != std::end(k_moves);
}

/// What touches a value that no layout is forced upon.
struct Touches {
  bool image = false, rows = false, reshapes = true;
};
Touches touches_of(const Graph& graph, ValueId value, std::vector<const Node*>& any_order) {
  Touches found;
  for (const Node& node : graph.nodes) {
    if (!contains(node.inputs, value) && !contains(node.outputs, value)) continue;
    const Touch touch = touch_of(node);
    found.image |= touch == Touch::image;
    found.rows |= touch == Touch::rows;
    found.reshapes &= touch == Touch::reshape;
    if (touch == Touch::any_order && !moves_only(node)) any_order.push_back(&node);
  }
  return found;
}

bool may_lie_dense(const Graph& graph, ValueId v) {
  const std::optional<Shape>& shape = graph.value(v).shape;
  return shape && shape->size() == 4 && !contains(graph.inputs, v) && !contains(graph.outputs, v) && !graph.constant(v);
}

/// A rank-4 value of a graph that lies dense: see layout_of(). Element-wise ops go fast where all they touch lies
/// alike, so a value between two of them follows those on their other sides.
bool is_dense_matrix(const Graph& graph, ValueId value) {
  if (!may_lie_dense(graph, value)) return false;
  constexpr size_t k_most_reached = 4;  // the values beside it, not those of a whole graph
  std::vector<ValueId> reached = {value};
  for (size_t i = 0; i < reached.size(); ++i) {
    std::vector<const Node*> any_order;
    const Touches touches = touches_of(graph, reached[i], any_order);
    if (touches.image && i == 0) return false;
    if (touches.image) continue;
    if (touches.rows || (i == 0 && touches.reshapes)) return true;
    for (const Node* node : any_order)
      for (const std::vector<ValueId>* values : {&node->inputs, &node->outputs})
        for (const ValueId v : *values)
          if (reached.size() < k_most_reached && v != k_absent && !contains(reached, v) && may_lie_dense(graph, v))
            reached.push_back(v);
  }
  return false;
}

}  // namespace

Layout layout_of(const Graph& graph, ValueId value) {
  const Value& v = graph.value(value);
  const Dims dims = *known_dims(*v.shape);
  return dims.size() == 4 && is_dense_matrix(graph, value) ? dense_layout(v.dtype, dims) : layout_of(v.dtype, dims);
}

namespace {

bool is_dense_and_unshifted(const Value& value) { return value.shape->size() != 4 && value.dtype != DType::s8; }

/// A convolution that makes a compact copy of its input (reads_compact_copy in the kernels), as far as the graph tells.
bool is_few_channel_conv(const Graph& graph, const Node& node) {
  if (int_attribute(node, "group", 1) != 1 || node.inputs.size() < 2) return false;
  const Tensor* const weights = graph.constant(node.inputs[1]);
  if (!weights || weights->dims().size() != 4) return false;
  WindowGeometry g;
  g.ic = weights->dims()[1], g.kh = weights->dims()[2], g.kw = weights->dims()[3];
  const std::vector<int64_t> dilations = ints_attribute(node, "dilations", {});
  if (dilations.size() == 2) g.dilation_h = dilations[0], g.dilation_w = dilations[1];
  return reads_compact_copy(g);
}

bool reads_image(const Graph& graph, const Node& node, ValueId value) {
  if (is_op(node, "QuantizeLinear") || is_op(node, "QuantPixels") || is_op(node, "Transpose"))
    return node.inputs[0] == value;
  const bool is_conv = is_op(node, "Conv") || is_op(node, "FusedConv") || is_op(node, "Bf16Conv");
  return is_conv && node.inputs[0] == value && std::count(node.inputs.begin(), node.inputs.end(), value) == 1 &&
         is_few_channel_conv(graph, node);
}

bool only_image_readers(const Graph& graph, ValueId value) {
  if (contains(graph.outputs, value)) return false;
  for (const Node& node : graph.nodes) {
    if (!contains(node.inputs, value)) continue;
    if (!reads_image(graph, node, value)) return false;
  }
  return true;
}

}  // namespace

bool borrows_input(const Graph& graph, ValueId value) {
  if (!contains(graph.inputs, value)) return false;
  const Value& v = graph.value(value);
  return is_dense_and_unshifted(v) ||
         ((v.dtype == DType::f32 || v.dtype == DType::u8) && only_image_readers(graph, value));
}

namespace {

const Node* producer_of(const Graph& graph, ValueId value) {
  for (const Node& node : graph.nodes)
    if (contains(node.outputs, value)) return &node;
  return nullptr;
}

/// Whether a stem can do what the node does to pixels: its numbers are known.
bool makes_codes(const Graph& graph, const Node& node) {
  if (is_op(node, "QuantPixels")) return graph.constant(node.inputs[1]) != nullptr;
  if (!is_op(node, "QuantizeLinear")) return false;
  const std::optional<float> scale = constant_scalar(graph, node.inputs[1]);
  if (!scale || !(*scale > 0)) return false;
  if (node.inputs.size() < 3 || node.inputs[2] == k_absent) return true;
  const std::optional<std::vector<int64_t>> zero_point = constant_ints(graph, node.inputs[2]);
  return zero_point && zero_point->size() == 1;
}

/// The one node that reads the value, which is no output; -1 = none or several.
NodeId only_reader(const Graph& graph, ValueId value) {
  if (contains(graph.outputs, value)) return -1;
  NodeId reader = -1;
  for (NodeId id = 0; id < static_cast<NodeId>(graph.nodes.size()); ++id) {
    const int64_t times = std::count(graph.node(id).inputs.begin(), graph.node(id).inputs.end(), value);
    if (times == 0) continue;
    if (reader >= 0 || times > 1) return -1;
    reader = id;
  }
  return reader;
}

/// Of pixels that lie one after the other: [N,H,W,C] to [N,C,H,W].
bool brings_channels_forward(const Node& node) {
  return is_op(node, "Transpose") && ints_attribute(node, "perm", {}) == std::vector<int64_t>{0, 3, 1, 2};
}

/// The caller's image that the node makes codes of, through a Transpose of its own or without; k_absent = none.
ValueId source_of(const Graph& graph, const Node& maker) {
  ValueId image = maker.inputs[0];
  const Node* const turn = is_op(maker, "QuantPixels") ? producer_of(graph, image) : nullptr;
  if (turn && brings_channels_forward(*turn) && only_reader(graph, image) >= 0) image = turn->inputs[0];
  return borrows_input(graph, image) && graph.value(image).shape->size() == 4 ? image : k_absent;
}

}  // namespace

NodeId stem_of(const Graph& graph, const Node& maker) {
  if (brings_channels_forward(maker)) {
    const NodeId pixels = only_reader(graph, maker.outputs[0]);
    const bool is_source = pixels >= 0 && is_op(graph.node(pixels), "QuantPixels") &&
                           source_of(graph, graph.node(pixels)) == maker.inputs[0];
    return is_source ? stem_of(graph, graph.node(pixels)) : -1;
  }
  if (!makes_codes(graph, maker) || source_of(graph, maker) == k_absent) return -1;
  const NodeId stem = only_reader(graph, maker.outputs[0]);
  if (stem < 0) return -1;
  const Node& conv = graph.node(stem);
  if (!is_op(conv, "QuantConv") || conv.inputs[0] != maker.outputs[0] || !is_few_channel_conv(graph, conv)) return -1;
  for (size_t i = 2; i < std::min<size_t>(conv.inputs.size(), 4); ++i)
    if (conv.inputs[i] != k_absent && !graph.constant(conv.inputs[i])) return -1;  // not for the fast kernels
  return stem;
}

ValueId image_of(const Graph& graph, const Node& conv) {
  if (!is_op(conv, "QuantConv")) return k_absent;
  const Node* const maker = producer_of(graph, conv.inputs[0]);
  return maker && makes_codes(graph, *maker) && stem_of(graph, *maker) >= 0 ? source_of(graph, *maker) : k_absent;
}

bool writes_output(const Graph& graph, ValueId value) {
  if (!is_dense_and_unshifted(graph.value(value)) || contains(graph.inputs, value)) return false;
  if (std::count(graph.outputs.begin(), graph.outputs.end(), value) != 1) return false;
  return !is_constant(graph, value);
}

}  // namespace octet::cpu
