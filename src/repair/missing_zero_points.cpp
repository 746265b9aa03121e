// src/repair/missing_zero_points.cpp: an absent zero point is written out: 0, of uint8 for QuantizeLinear and of the
// codes' dtype for DequantizeLinear, as ONNX defines it (TensorRT would take int8). int32 biases need none.

#include "repair/parameters.h"
#include "repair/repair.h"

namespace octet {

Result<Done> missing_zero_points(Graph& graph, RepairLog& log) {
  Editor editor(graph);
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    Node node = editor.node(id);
    if (!is_q_or_dq(node) || input(node, 2) != k_absent) continue;
    const DType dtype = is_quantize(node) ? DType::u8 : graph.value(node.inputs[0]).dtype;
    const Tensor* scale = graph.constant(node.inputs[1]);
    if (!is_code(dtype) || !scale) continue;
    const std::vector<int32_t> zeros(static_cast<size_t>(scale->size()), 0);
    node.inputs.resize(3, k_absent);
    node.inputs[2] = editor.add_constant(graph.value(node.outputs[0]).name + "_zero_point",
                                         code_tensor(dtype, scale->dims(), zeros));
    log.add(label(graph, node), "no zero point", std::string(name(dtype)) + " zero point 0");
    editor.replace(id, std::move(node));
  }
  return Done{};
}

}  // namespace octet
