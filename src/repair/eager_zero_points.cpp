// src/repair/eager_zero_points.cpp: PyTorch's eager mode writes uint8 zero points 0 for tensors that are qint8, so that
// negative values are lost and positive ones saturate at 255 instead of 127 scales. The export is known by its
// signature: every zero point is 0, a graph input (scaled, shifted or moved by constants first, perhaps) goes through
// int8 QuantizeLinear, Cast, DequantizeLinear, and so does what each uint8 QuantizeLinear makes; ops that move codes
// and MaxPool may stand in a pair. Without it a uint8 zero point 0 stays what it says. Source: E3 of
// docs/toolkit_behaviour.md; pytorch/pytorch torch/onnx/symbolic_helper.py, quantize_helper.

#include "repair/parameters.h"
#include "repair/repair.h"

namespace octet {
namespace {

/// A graph input, or what float ops make of one that scale, shift or move its elements by constants.
bool comes_from_input(const Editor& editor, ValueId v) {
  while (!editor.is_input(v)) {
    const NodeId maker = editor.producer(v);
    if (maker < 0) return false;
    const Node& node = editor.node(maker);
    if (!is_any(node, {"Identity", "Cast", "Add", "Sub", "Mul", "Div", "Neg", "Pad", "Slice", "Reshape", "Flatten",
                       "Squeeze", "Unsqueeze", "Transpose", "BatchNormalization"}))
      return false;
    ValueId data = k_absent;
    for (const ValueId each : node.inputs) {
      if (each == k_absent || editor.graph().constant(each)) continue;
      if (data != k_absent) return false;
      data = each;
    }
    if (data == k_absent) return false;
    v = data;
  }
  return true;
}

/// From a QuantizeLinear to all that dequantizes its codes.
struct CodePath {
  NodeId quantize;
  std::vector<NodeId> casts, dequantizers;
};

/// Ops that PyTorch runs on the codes themselves.
bool keeps_codes(const Node& node) {
  return node.outputs.size() == 1 &&
         is_any(node, {"Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "MaxPool"});
}

/// Every reader of the codes is a DequantizeLinear with zero point 0 behind a Cast to the codes' own dtype.
std::optional<CodePath> cast_pairs(const Editor& editor, NodeId quantize, std::string_view dtype) {
  CodePath path{quantize, {}, {}};
  std::vector<std::pair<ValueId, bool>> open = {{editor.node(quantize).outputs[0], false}};  // value, behind a Cast
  while (!open.empty()) {
    const auto [codes, cast] = open.back();
    open.pop_back();
    if (editor.is_output(codes) || editor.readers(codes).empty()) return std::nullopt;
    for (const NodeId id : editor.readers(codes)) {
      const Node& node = editor.node(id);
      if (node.inputs[0] != codes) return std::nullopt;
      if (is_dequantize(node)) {
        const std::optional<CodeParams> params = code_params(editor.graph(), node);
        if (!cast || !params || params->zero_point != 0) return std::nullopt;
        path.dequantizers.push_back(id);
        continue;
      }
      const bool casts = is_op(node, "Cast") && string_attribute(node, "to", "") == dtype;
      if (!casts && !keeps_codes(node)) return std::nullopt;
      if (casts) path.casts.push_back(id);
      open.emplace_back(node.outputs[0], cast || casts);
    }
  }
  return path;
}

/// The uint8 QuantizeLinear nodes of an eager export; empty without its signature.
std::vector<CodePath> unsigned_paths(const Editor& editor) {
  const Graph& graph = editor.graph();
  std::vector<CodePath> found;
  bool signed_stub = false;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    const Node& node = editor.node(id);
    if (!is_q_or_dq(node)) continue;
    if (is_dequantize(node) && graph.constant(node.inputs[0])) {  // a weight or a bias
      if (graph.value(node.inputs[0]).dtype == DType::u8) return {};
      continue;
    }
    const std::optional<CodeParams> params = code_params(graph, node);
    if (!params || params->zero_point != 0) return {};
    if (is_dequantize(node)) continue;
    if (params->dtype == DType::s8 && comes_from_input(editor, node.inputs[0]) && cast_pairs(editor, id, "s8"))
      signed_stub = true;
    if (params->dtype != DType::u8) continue;
    std::optional<CodePath> path = cast_pairs(editor, id, "u8");
    if (!path) return {};
    found.push_back(*std::move(path));
  }
  if (!signed_stub) found.clear();
  return found;
}

/// Input 2 becomes an s8 zero of the scale's dims.
void make_signed(Editor& editor, NodeId id) {
  Graph& graph = editor.graph();
  Node node = editor.node(id);
  const Dims dims = graph.constant(node.inputs[1])->dims();
  const int32_t zero = 0;
  node.inputs.resize(3, k_absent);
  node.inputs[2] =
      editor.add_constant(graph.value(node.outputs[0]).name + "_zero_point", code_tensor(DType::s8, dims, {&zero, 1}));
  editor.replace(id, std::move(node));
}

}  // namespace

Result<Done> eager_zero_points(Graph& graph, RepairLog& log) {
  Editor editor(graph);
  for (const CodePath& path : unsigned_paths(editor)) {
    const CodeParams before = *code_params(graph, editor.node(path.quantize));
    CodeParams after = before;
    after.dtype = DType::s8;
    log.add(label(graph, editor.node(path.quantize)), params_text(before), params_text(after),
            "negative values are kept and 127 steps are the most, as in the network that was exported");
    make_signed(editor, path.quantize);
    for (const NodeId cast : path.casts) {
      Node node = editor.node(cast);
      node.attributes["to"] = std::string("s8");
      editor.replace(cast, std::move(node));
    }
    for (const NodeId dequantize : path.dequantizers) make_signed(editor, dequantize);
  }
  return Done{};
}

}  // namespace octet
