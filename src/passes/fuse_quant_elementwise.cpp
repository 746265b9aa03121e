// src/passes/fuse_quant_elementwise.cpp: Add and Mul of two dequantized values [-> activation] [-> QuantizeLinear]
// become QuantAdd and QuantMul. Add: equal shapes, or constant codes that are broadcast (a bias that was quantized by
// itself); those of one element are left to fuse_quant_lookup. Mul: equal shapes, or [N, C, 1, 1] beside [N, C, H, W]
// (squeeze-excite), which is then the second input.

#include "passes/epilogue.h"
#include "passes/passes.h"

namespace octet {
namespace {

bool is_per_channel(const Value& v, const Value& of) {
  if (!v.shape || !of.shape || v.shape->size() != 4 || of.shape->size() != 4) return false;
  const Shape &s = *v.shape, &x = *of.shape;
  return s[2].value == 1 && s[3].value == 1 && s[1].value == x[1].value &&
         (s[0] == x[0] || !s[0].known() || !x[0].known());
}

/// Constant codes beside x: several, and broadcast they leave x its shape.
bool is_broadcast_constant(const Graph& graph, const Codes& codes, const Value& x) {
  const Tensor* const constant = graph.constant(codes.value);
  if (!constant || constant->size() < 2 || !x.shape || constant->rank() > x.shape->size()) return false;
  const size_t lead = x.shape->size() - constant->rank();
  for (size_t i = 0; i < constant->rank(); ++i)
    if (constant->dims()[i] != 1 && constant->dims()[i] != extent(x, lead + i)) return false;
  return true;
}

}  // namespace

Result<Changed> fuse_quant_elementwise(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (editor.gone(id) || !is_any(editor.node(id), {"Add", "Mul"})) continue;
    const Node node = editor.node(id);
    std::optional<Codes> a = codes_behind(editor, node.inputs[0]), b = codes_behind(editor, node.inputs[1]);
    if (!a || !b) continue;
    const bool add = is_op(node, "Add"), is_swapped = graph.constant(a->value) != nullptr;
    if (is_swapped) std::swap(a, b);
    const Value &va = graph.value(node.inputs[is_swapped ? 1 : 0]), &vb = graph.value(node.inputs[is_swapped ? 0 : 1]);
    if (graph.constant(a->value) || graph.constant(b->value)) {
      if (!add || !is_broadcast_constant(graph, *b, va)) continue;
    } else if (!same_shape(va, vb)) {
      if (add || !(is_per_channel(vb, va) || is_per_channel(va, vb))) continue;
      if (is_per_channel(va, vb)) std::swap(a, b);
    }
    const Epilogue epilogue = match_epilogue(editor, id, Residual::none, Activations::clamps, true);
    if (!epilogue.quantize) continue;
    Node fused = make_node(add ? "QuantAdd" : "QuantMul", node.name, {a->value, b->value}, {});
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
