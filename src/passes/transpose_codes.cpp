// src/passes/transpose_codes.cpp: Transpose of a dequantized [N, K] weight (PyTorch's Linear: Q, DQ, Transpose, MatMul)
// becomes DequantizeLinear of the transposed codes, so that the weight stays a weight.

#include "passes/match.h"
#include "passes/passes.h"

namespace octet {
namespace {

bool swaps_two_axes(const Node& transpose) {
  const std::vector<int64_t> perm = ints_attribute(transpose, "perm", {1, 0});
  return perm == std::vector<int64_t>{1, 0};
}

}  // namespace

Result<Changed> transpose_codes(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (!is_op(editor.node(id), "Transpose") || !swaps_two_axes(editor.node(id))) continue;
    const Node transpose = editor.node(id);
    const Node* found = editor.producer(transpose.inputs[0], "DequantizeLinear");
    const Tensor* codes = found ? graph.constant(found->inputs[0]) : nullptr;
    if (!codes || codes->rank() != 2 || has_attribute(*found, "block_size")) continue;
    Node dequantize = *found;
    Result<std::vector<Tensor>> turned = transpose.op->reference(NodeContext{graph, transpose}, std::span(codes, 1));
    if (!turned) return turned.error();
    const int64_t axis = int_attribute(dequantize, "axis", 1);
    dequantize.attributes["axis"] = 1 - (axis < 0 ? axis + 2 : axis);
    dequantize.inputs[0] =
        editor.add_constant(graph.value(dequantize.inputs[0]).name + "_t", std::move(turned->front()));
    dequantize.outputs = transpose.outputs;
    dequantize.name = transpose.name;
    editor.replace(id, std::move(dequantize));
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
