// The float network behind a quantized one: pairs on activations go, constants behind DequantizeLinear become the
// numbers they stand for. It is what calibration starts from again.

#include "repair/float_form.h"

#include "repair/parameters.h"

namespace octet {

Result<Done> make_float(Graph& graph, RepairLog& log) {
  log.repair = "dynamic_quantization";
  if (Result<Done> ok = dynamic_quantization(graph, log); !ok) return ok;
  {
    Editor editor(graph);
    for (NodeId id = 0; id < editor.node_count(); ++id) {
      const Node node = editor.node(id);
      if (!is_q_or_dq(node)) continue;
      ValueId real = node.inputs[0];
      if (is_dequantize(node) && graph.constant(node.inputs[0])) {
        std::vector<Tensor> inputs;
        for (const ValueId v : node.inputs) {
          const Tensor* constant = v == k_absent ? nullptr : graph.constant(v);
          if (v != k_absent && !constant)
            return Error{ErrorCode::unsupported,
                         "node '" + label(graph, node) +
                             "' (DequantizeLinear): its scale or zero point is computed, so the "
                             "network has no float form; export it with constants"};
          inputs.push_back(constant ? *constant : Tensor());
        }
        Result<std::vector<Tensor>> result = node.op->reference(NodeContext{graph, node}, inputs);
        if (!result) return result.error();
        real = editor.add_constant(graph.value(node.inputs[0]).name + "_real", std::move(result->front()));
      }
      if (!editor.replace_uses(node.outputs[0], real)) {
        editor.replace(id, make_node("Identity", node.name, {real}, node.outputs));  // a graph output keeps its name
        continue;
      }
      editor.remove(id);
    }
  }
  if (Result<Done> ok = infer_shapes(graph); !ok) return within("float form", ok.error());
  compact(graph);
  return verify(graph);
}

}  // namespace octet
