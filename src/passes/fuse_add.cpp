// src/passes/fuse_add.cpp: a float Add of two activations takes the Relu or Clip behind it and becomes FusedAdd. Other
// functions stay apart, as they do behind QuantAdd: calibration needs the sum.

#include "passes/epilogue.h"
#include "passes/passes.h"

namespace octet {

Result<Changed> fuse_add(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (editor.gone(id) || !is_op(editor.node(id), "Add")) continue;
    const Node add = editor.node(id);
    if (graph.value(add.outputs[0]).dtype != DType::f32) continue;
    if (graph.constant(add.inputs[0]) || graph.constant(add.inputs[1])) continue;
    const Epilogue epilogue = match_epilogue(editor, id, Residual::none, Activations::clamps, false);
    Node fused = make_node("FusedAdd", add.name, add.inputs, {});
    set_activation(fused, epilogue.activation);
    write_fused(editor, epilogue, std::move(fused));
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
