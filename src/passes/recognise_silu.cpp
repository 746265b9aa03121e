// src/passes/recognise_silu.cpp: x * sigmoid(x) is Silu(x), one function of one value. A sigmoid that others read too
// stays as it is.

#include "passes/match.h"
#include "passes/passes.h"

namespace octet {

Result<Changed> recognise_silu(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (!is_op(editor.node(id), "Mul")) continue;
    const Node mul = editor.node(id);
    for (size_t i = 0; i < 2; ++i) {
      const Node* sigmoid = editor.producer(mul.inputs[i], "Sigmoid");
      if (!sigmoid || !editor.single_use(mul.inputs[i]) || sigmoid->inputs[0] != mul.inputs[1 - i]) continue;
      if (graph.value(mul.outputs[0]).dtype != DType::f32) continue;
      const NodeId gate = editor.producer(mul.inputs[i]);
      editor.replace(id, make_node("Silu", mul.name, {mul.inputs[1 - i]}, mul.outputs));
      editor.remove(gate);
      ++changed.count;
      break;
    }
  }
  return changed;
}

}  // namespace octet
