// src/repair/quantized_weights.cpp: a float constant behind QuantizeLinear and DequantizeLinear is stored as its codes
// behind DequantizeLinear, a quarter of the bytes. The codes are those that QuantizeLinear gives.

#include "repair/parameters.h"
#include "repair/repair.h"

namespace octet {

Result<Done> quantized_weights(Graph& graph, RepairLog& log) {
  Editor editor(graph);
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    const Node node = editor.node(id);
    if (!is_quantize(node) || editor.is_output(node.outputs[0])) continue;
    std::vector<Tensor> inputs;
    for (const ValueId v : node.inputs) {
      const Tensor* constant = v == k_absent ? nullptr : graph.constant(v);
      if (v != k_absent && !constant) break;
      inputs.push_back(constant ? *constant : Tensor());
    }
    if (inputs.size() != node.inputs.size()) continue;
    const NodeContext context{graph, node};
    if (!node.op->validate(context)) continue;
    Result<std::vector<Tensor>> codes = node.op->reference(context, inputs);
    if (!codes) return codes.error();
    const Tensor& made = codes->front();
    log.add(label(graph, node), "f32" + to_string(made.dims()) + " weight quantized at run time",
            std::string(name(made.dtype())) + to_string(made.dims()) + " codes behind DequantizeLinear");
    const ValueId stored = editor.add_constant(graph.value(node.inputs[0]).name + "_quantized", made);
    if (!editor.replace_uses(node.outputs[0], stored)) continue;
    editor.remove(id);
  }
  return Done{};
}

}  // namespace octet
