// src/passes/fuse_conv.cpp: a float 2-D or 3-D Conv of a constant weight takes the residual Add and the activation
// behind it and becomes FusedConv: act(conv(x, w) + b + residual).

#include "passes/epilogue.h"
#include "passes/passes.h"

namespace octet {

Result<Changed> fuse_conv(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (editor.gone(id) || !is_op(editor.node(id), "Conv")) continue;
    const Node conv = editor.node(id);
    const Tensor* w = constant_of(graph, conv.inputs[1], DType::f32);
    if (!w || (w->rank() != 4 && w->rank() != 5)) continue;
    const Epilogue epilogue = match_epilogue(editor, id, Residual::floats, Activations::all, false);
    Node fused = make_node("FusedConv", conv.name, conv.inputs, {}, conv.attributes);
    if (epilogue.residual != k_absent) {
      fused.inputs.resize(4, k_absent);
      fused.inputs[3] = epilogue.residual;
    }
    set_activation(fused, epilogue.activation);
    write_fused(editor, epilogue, std::move(fused));
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
