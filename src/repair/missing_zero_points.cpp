// src/repair/missing_zero_points.cpp: an absent zero point is written out: 0, of uint8 for QuantizeLinear and of the
// codes' dtype for DequantizeLinear, as ONNX defines it (TensorRT would take int8). int32 biases need none. One zero
// point beside several scales is repeated.

#include "repair/parameters.h"
#include "repair/repair.h"

namespace octet {

namespace {

/// One zero point for all of several scales.
void repeat(Editor& editor, NodeId id, RepairLog& log) {
  Graph& graph = editor.graph();
  const Node& node = editor.node(id);
  const ValueId v = node.inputs[2];
  const Tensor* scale = graph.constant(node.inputs[1]);
  const std::optional<std::vector<int64_t>> zero = constant_ints(graph, v);
  const DType dtype = graph.value(v).dtype;
  if (!scale || scale->size() < 2 || !zero || zero->size() != 1 || !(is_code(dtype) || dtype == DType::s32)) return;
  const std::vector<int32_t> all(static_cast<size_t>(scale->size()), static_cast<int32_t>(zero->front()));
  const std::string count = std::to_string(scale->size());
  log.add(label(graph, node), "1 zero point for " + count + " scales", count + " zero points");
  editor.set_input(id, 2,
                   editor.add_constant(graph.value(v).name + "_repeated", code_tensor(dtype, scale->dims(), all)));
}

}  // namespace

Result<Done> missing_zero_points(Graph& graph, RepairLog& log) {
  Editor editor(graph);
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    Node node = editor.node(id);
    if (!is_q_or_dq(node)) continue;
    if (input(node, 2) != k_absent) {
      repeat(editor, id, log);
      continue;
    }
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
