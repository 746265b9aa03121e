// src/passes/fold_pad.cpp: a constant Pad of an image's spatial axes goes into the pads of what reads it, where the
// result stays the same: zeros into a Conv, a LpPool (a zero adds nothing), or an AveragePool, whose divisor then
// counts the padding (count_include_pad = 1) as it did before; into a MaxPool what its own padding cannot beat: -inf or
// less than any float, and zeros where x is never negative, as long as every window meets an element of x. Between a
// Pad of zeros and a Conv there may be a Q/DQ pair: 0 is a code.

#include <algorithm>
#include <limits>

#include "passes/choose_codes.h"
#include "passes/match.h"
#include "passes/passes.h"

namespace octet {
namespace {

struct Padding {
  size_t rank = 0;
  std::vector<int64_t> begin, end;  // of the spatial axes
  float value = 0;
};

/// A Pad by a constant of an f32 tensor that touches spatial axes only; nothing for another.
std::optional<Padding> padding_of(const Graph& graph, const Node& node) {
  const Value& x = graph.value(node.inputs[0]);
  if (x.dtype != DType::f32 || !x.shape || x.shape->size() < 3 || x.shape->size() > 5) return std::nullopt;
  if (string_attribute(node, "mode", "constant") != "constant") return std::nullopt;
  const size_t rank = x.shape->size();
  Padding padding{rank, {}, {}, 0};
  if (const ValueId value = input(node, 2); value != k_absent) {
    const std::optional<float> given = scalar_constant(graph, value);
    if (!given) return std::nullopt;
    padding.value = *given;
  }
  const std::optional<std::vector<int64_t>> given = constant_ints(graph, node.inputs[1]);
  if (!given || given->size() % 2 != 0) return std::nullopt;
  std::vector<int64_t> axes;
  for (size_t i = 0; i < rank; ++i) axes.push_back(static_cast<int64_t>(i));
  if (input(node, 3) != k_absent) {
    const std::optional<std::vector<int64_t>> listed = constant_ints(graph, input(node, 3));
    if (!listed) return std::nullopt;
    axes = *listed;
  }
  if (axes.size() * 2 != given->size()) return std::nullopt;
  std::vector<int64_t> pads(2 * rank, 0);
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto axis = static_cast<size_t>(axes[i] < 0 ? axes[i] + static_cast<int64_t>(rank) : axes[i]);
    if (axis >= rank) return std::nullopt;
    pads[axis] = (*given)[i];
    pads[axis + rank] = (*given)[i + axes.size()];
  }
  const bool negative = std::any_of(pads.begin(), pads.end(), [](int64_t p) { return p < 0; });
  if (negative || pads[0] || pads[1] || pads[rank] || pads[rank + 1]) return std::nullopt;
  const auto spatial = pads.begin() + 2, behind = pads.begin() + static_cast<ptrdiff_t>(rank);
  padding.begin.assign(spatial, behind);
  padding.end.assign(behind + 2, pads.end());
  return padding;
}

bool pads_nothing(const Node& node) {
  const std::vector<int64_t> own = ints_attribute(node, "pads", {});
  return std::all_of(own.begin(), own.end(), [](int64_t p) { return p == 0; });
}

/// Each pad is less than what a window covers, as pools want it: no window lies in the padding alone.
bool pads_fit_window(const Node& node, const Padding& padding) {
  const std::vector<int64_t> kernel = ints_attribute(node, "kernel_shape", {});
  const std::vector<int64_t> own = ints_attribute(node, "pads", std::vector<int64_t>(2 * kernel.size(), 0));
  const std::vector<int64_t> dilations = ints_attribute(node, "dilations", std::vector<int64_t>(kernel.size(), 1));
  if (kernel.size() != padding.begin.size() || own.size() != 2 * kernel.size() || dilations.size() != kernel.size())
    return false;
  for (size_t i = 0; i < kernel.size(); ++i) {
    const int64_t covered = (kernel[i] - 1) * dilations[i] + 1;
    if (own[i] + padding.begin[i] >= covered || own[kernel.size() + i] + padding.end[i] >= covered) return false;
  }
  return true;
}

/// Without dilation such a window of a MaxPool meets an element that is not padding.
bool is_dilated(const Node& node) {
  const std::vector<int64_t> dilations = ints_attribute(node, "dilations", {});
  return std::any_of(dilations.begin(), dilations.end(), [](int64_t d) { return d != 1; });
}

bool takes(const Node& node, const Padding& padding, bool x_is_never_negative) {
  if (string_attribute(node, "auto_pad", "NOTSET") != "NOTSET") return false;
  if (is_op(node, "Conv")) return padding.value == 0.0f;
  if (int_attribute(node, "ceil_mode", 0) != 0 || node.outputs.size() > 1 || !pads_fit_window(node, padding))
    return false;
  if (is_op(node, "LpPool")) return padding.value == 0.0f;
  if (is_op(node, "AveragePool"))
    return padding.value == 0.0f && (pads_nothing(node) || int_attribute(node, "count_include_pad", 0) != 0);
  if (!is_op(node, "MaxPool") || is_dilated(node)) return false;
  return padding.value <= std::numeric_limits<float>::lowest() || (padding.value == 0.0f && x_is_never_negative);
}

/// The pair of QuantizeLinear and DequantizeLinear per tensor that alone reads v.
std::optional<std::pair<NodeId, NodeId>> pair_behind(const Editor& editor, ValueId v) {
  const NodeId quantize = editor.only_reader(v);
  if (quantize < 0 || !is_op(editor.node(quantize), "QuantizeLinear")) return std::nullopt;
  const NodeId dequantize = editor.only_reader(editor.node(quantize).outputs[0]);
  if (dequantize < 0 || !is_op(editor.node(dequantize), "DequantizeLinear")) return std::nullopt;
  const std::optional<CodeParams> params = code_params(editor.graph(), editor.node(quantize));
  if (!params || code_params(editor.graph(), editor.node(dequantize)) != params) return std::nullopt;
  return std::pair(quantize, dequantize);
}

void add_pads(Node& node, const Padding& padding) {
  const size_t axes = padding.begin.size();
  std::vector<int64_t> own = ints_attribute(node, "pads", std::vector<int64_t>(2 * axes, 0));
  for (size_t i = 0; i < axes; ++i) {
    own[i] += padding.begin[i];
    own[axes + i] += padding.end[i];
  }
  node.attributes["pads"] = own;
  if (is_op(node, "AveragePool")) node.attributes["count_include_pad"] = int64_t{1};
}

}  // namespace

Result<Changed> fold_pad(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  const std::vector<bool> positive = never_negative(graph);
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (!is_op(editor.node(id), "Pad")) continue;
    const Node pad = editor.node(id);
    const std::optional<Padding> padding = padding_of(graph, pad);
    if (!padding) continue;
    const auto pair = pair_behind(editor, pad.outputs[0]);
    const ValueId padded = pair ? editor.node(pair->second).outputs[0] : pad.outputs[0];
    const NodeId reader = editor.only_reader(padded);
    if (reader < 0 || editor.node(reader).inputs[0] != padded || (pair && !is_op(editor.node(reader), "Conv")))
      continue;
    if (!takes(editor.node(reader), *padding, positive[static_cast<size_t>(pad.inputs[0])])) continue;
    Node node = editor.node(reader);
    add_pads(node, *padding);
    if (pair) {
      for (const NodeId coder : {pair->first, pair->second})
        graph.value(editor.node(coder).outputs[0]).shape = graph.value(pad.inputs[0]).shape;
      editor.set_input(pair->first, 0, pad.inputs[0]);
    } else {
      node.inputs[0] = pad.inputs[0];
    }
    editor.replace(reader, std::move(node));
    editor.remove(id);
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
