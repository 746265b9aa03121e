// src/passes/clip_before_quantize.cpp: QuantizeLinear -> DequantizeLinear -> Relu (or Clip) -> QuantizeLinear with the
// same parameters twice gives the codes of Relu -> QuantizeLinear, bit for bit: rounding is monotone, so it commutes
// with clamping. The first pair goes, and the layer before takes the Relu. Exporters of eager-mode models write this.

#include "passes/epilogue.h"
#include "passes/passes.h"

namespace octet {

Result<Changed> clip_before_quantize(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (editor.gone(id) || !is_any(editor.node(id), {"Relu", "Clip"})) continue;
    const Node clip = editor.node(id);
    if (!match_activation(graph, clip)) continue;
    const NodeId last = editor.only_reader(clip.outputs[0]);
    const NodeId dequantize = editor.producer(clip.inputs[0]);
    const std::optional<Codes> codes = codes_behind(editor, clip.inputs[0]);
    if (last < 0 || !codes || !is_op(editor.node(last), "QuantizeLinear") || !editor.single_use(clip.inputs[0]))
      continue;
    const NodeId first = editor.producer(codes->value);
    if (first < 0 || !is_op(editor.node(first), "QuantizeLinear") || !editor.single_use(codes->value)) continue;
    if (code_params(graph, editor.node(first)) != codes->params ||
        code_params(graph, editor.node(last)) != codes->params)
      continue;
    editor.set_input(id, 0, editor.node(first).inputs[0]);
    editor.remove(dequantize);
    editor.remove(first);
    ++changed.count;
    changed.notes.push_back(label(graph, clip) + ": taken by the layer before its first QuantizeLinear (same codes)");
  }
  return changed;
}

}  // namespace octet
