// src/repair/eager_zero_points.cpp: PyTorch's eager mode writes uint8 zero points 0 for tensors that are qint8, so that
// negative values are lost and positive ones saturate at 255 instead of 127 scales. The export is known by its
// signature: every zero point is 0, the input stub's QuantizeLinear is int8, and each uint8 QuantizeLinear feeds Casts
// that feed DequantizeLinear. Without it a uint8 zero point 0 stays what it says. Source: spec section 10.3, E3;
// pytorch/pytorch torch/onnx/symbolic_helper.py, quantize_helper.

#include <algorithm>

#include "repair/parameters.h"
#include "repair/repair.h"

namespace octet {
namespace {

/// All readers are Casts whose readers are DequantizeLinear nodes with zero point 0.
bool feeds_cast_pairs(const Editor& editor, const Node& quantize) {
  const Graph& graph = editor.graph();
  const std::vector<NodeId>& casts = editor.readers(quantize.outputs[0]);
  if (casts.empty() || editor.is_output(quantize.outputs[0])) return false;
  return std::all_of(casts.begin(), casts.end(), [&](NodeId cast) {
    if (!is_op(editor.node(cast), "Cast")) return false;
    const ValueId codes = editor.node(cast).outputs[0];
    const std::vector<NodeId>& readers = editor.readers(codes);
    return !readers.empty() && !editor.is_output(codes) && std::all_of(readers.begin(), readers.end(), [&](NodeId id) {
      if (!is_dequantize(editor.node(id))) return false;
      const std::optional<CodeParams> params = code_params(graph, editor.node(id));
      return params && params->zero_point == 0;
    });
  });
}

/// The uint8 QuantizeLinear nodes of an eager export; empty without its signature.
std::vector<NodeId> unsigned_quantizers(const Editor& editor) {
  const Graph& graph = editor.graph();
  std::vector<NodeId> found;
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
    if (editor.is_input(node.inputs[0]) && params->dtype == DType::s8) signed_stub = true;
    if (params->dtype != DType::u8) continue;
    if (!feeds_cast_pairs(editor, node)) return {};
    found.push_back(id);
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
  for (const NodeId id : unsigned_quantizers(editor)) {
    const CodeParams before = *code_params(graph, editor.node(id));
    CodeParams after = before;
    after.dtype = DType::s8;
    log.add(label(graph, editor.node(id)), params_text(before), params_text(after),
            "negative values are kept and 127 steps are the most, as in the network that was exported");
    const std::vector<NodeId> casts = editor.readers(editor.node(id).outputs[0]);
    make_signed(editor, id);
    for (const NodeId cast : casts) {
      const std::vector<NodeId> readers = editor.readers(editor.node(cast).outputs[0]);
      Node node = editor.node(cast);
      node.attributes["to"] = std::string("s8");
      editor.replace(cast, std::move(node));
      for (const NodeId dequantize : readers) make_signed(editor, dequantize);
    }
  }
  return Done{};
}

}  // namespace octet
