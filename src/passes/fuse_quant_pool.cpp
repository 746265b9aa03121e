// src/passes/fuse_quant_pool.cpp: AveragePool and GlobalAveragePool of a dequantized image [-> QuantizeLinear] become
// QuantAveragePool and QuantGlobalAveragePool: an int32 sum and one requantization.

#include "passes/epilogue.h"
#include "passes/passes.h"

namespace octet {

Result<Changed> fuse_quant_pool(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (editor.gone(id) || !is_any(editor.node(id), {"AveragePool", "GlobalAveragePool"})) continue;
    const Node node = editor.node(id);
    const std::optional<Codes> x = codes_behind(editor, node.inputs[0]);
    const Value& value = graph.value(node.inputs[0]);
    if (!x || graph.constant(x->value) || !has_pixels(value)) continue;
    const Epilogue epilogue = match_epilogue(editor, id, Residual::none, Activations::none, true);
    Node fused = make_node("Quant" + std::string(node.op->name), node.name, {x->value}, {}, node.attributes);
    set_params(fused, "x", x->params);
    set_result(fused, epilogue);
    write_fused(editor, epilogue, std::move(fused));
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
