// src/passes/fuse_quant_matmul.cpp: MatMul of two dequantized values, neither of them constant (attention)
// [-> activation] [-> QuantizeLinear] becomes QuantMatMul. A product with a constant matrix is a Gemm by now.

#include "passes/epilogue.h"
#include "passes/passes.h"

namespace octet {
namespace {

/// Sums of `k` products of codes fit int32.
bool sums_fit(const Graph& graph, const Node& node) {
  const std::optional<Shape>& a = graph.value(node.inputs[0]).shape;
  if (!a || a->size() < 2 || !a->back().known()) return false;
  return 255.0 * 255.0 * static_cast<double>(a->back().value) < 0x1p31;
}

}  // namespace

Result<Changed> fuse_quant_matmul(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (editor.gone(id) || !is_op(editor.node(id), "MatMul")) continue;
    const Node node = editor.node(id);
    const std::optional<Codes> a = codes_behind(editor, node.inputs[0]), b = codes_behind(editor, node.inputs[1]);
    if (!a || !b || graph.constant(a->value) || graph.constant(b->value) || !sums_fit(graph, node)) continue;
    const std::optional<Shape>& right = graph.value(node.inputs[1]).shape;
    if (!right || right->size() < 2) continue;
    const Epilogue epilogue = match_epilogue(editor, id, Residual::none, Activations::all, true);
    Node fused = make_node("QuantMatMul", node.name, {a->value, b->value}, {});
    set_params(fused, "a", a->params);
    set_params(fused, "b", b->params);
    set_activation(fused, epilogue.activation);
    set_result(fused, epilogue);
    write_fused(editor, epilogue, std::move(fused));
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
