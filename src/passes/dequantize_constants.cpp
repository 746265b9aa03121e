// src/passes/dequantize_constants.cpp: a DequantizeLinear of a constant that no integer layer has taken feeds a float
// layer: its values are computed once, here, instead of in every run.

#include "passes/match.h"
#include "passes/passes.h"

namespace octet {

Result<Changed> dequantize_constants(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    const Node& node = editor.node(id);
    if (!is_op(node, "DequantizeLinear") || !graph.constant(node.inputs[0]) || !graph.constant(node.inputs[1]))
      continue;
    if (editor.readers(node.outputs[0]).empty() || editor.is_output(node.outputs[0])) continue;
    std::vector<Tensor> inputs;
    for (const ValueId v : node.inputs)
      inputs.push_back(v != k_absent && graph.constant(v) ? *graph.constant(v) : Tensor());
    Result<std::vector<Tensor>> results = node.op->reference(NodeContext{graph, node}, inputs);
    if (!results) return results.error();
    Value& value = graph.value(node.outputs[0]);
    value.shape = to_shape((*results)[0].dims());
    value.dtype = (*results)[0].dtype();
    value.constant = std::move((*results)[0]);
    editor.remove(id);
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
