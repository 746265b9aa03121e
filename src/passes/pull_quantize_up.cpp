// src/passes/pull_quantize_up.cpp: QuantizeLinear behind an op that only moves or selects elements (MaxPool, Concat,
// Reshape, ...) moves before it: rounding is monotone and element-wise, so the codes are the same bit for bit, the op
// handles a quarter of the bytes, and the layer before it can end in codes. Values in between must have one reader.

#include "passes/epilogue.h"
#include "passes/passes.h"

namespace octet {
namespace {

/// Data inputs of the op: all of a Concat, the first of the others.
size_t data_inputs(const Node& node) { return node.op->quant.role == QuantRole::shared_scale ? node.inputs.size() : 1; }

bool may_pass(const Editor& editor, const Node& mover) {
  const QuantRole role = mover.op->quant.role;
  if (role != QuantRole::same_scale && role != QuantRole::shared_scale) return false;
  if (mover.outputs.size() != 1 || is_op(mover, "Pad") || !editor.single_use(mover.outputs[0])) return false;
  for (size_t i = 0; i < data_inputs(mover); ++i) {
    const ValueId x = mover.inputs[i];
    if (editor.graph().value(x).dtype != DType::f32 || editor.graph().constant(x)) return false;
    if (editor.producer(x, "DequantizeLinear")) {
      if (role == QuantRole::same_scale) return false;  // push_dequantize_down does it
    } else if (!editor.single_use(x)) {
      return false;
    }
  }
  return true;
}

void pull_up(Editor& editor, NodeId quantize_id, NodeId mover_id) {
  Graph& graph = editor.graph();
  const Node quantize = editor.node(quantize_id);
  Node mover = editor.node(mover_id);
  const DType codes = graph.value(quantize.outputs[0]).dtype;
  for (size_t i = 0; i < data_inputs(mover); ++i) {
    const Value& x = graph.value(mover.inputs[i]);
    const ValueId y = editor.add_value(x.name + "_quantized", codes, x.shape);
    std::vector<ValueId> inputs = quantize.inputs;
    inputs[0] = mover.inputs[i];
    const std::string name = i == 0 ? quantize.name : unique_node_name(graph, quantize.name);
    if (i == 0) editor.remove(quantize_id);
    editor.insert_before(mover_id, make_node("QuantizeLinear", name, inputs, {y}, quantize.attributes));
    mover.inputs[i] = y;
  }
  mover.outputs = quantize.outputs;
  editor.replace(mover_id, std::move(mover));
}

}  // namespace

Result<Changed> pull_quantize_up(Graph& graph) {
  Changed changed;
  for (bool again = true; again;) {  // one step up for every QuantizeLinear; inserted ones move on in the next sweep
    again = false;
    Editor editor(graph);
    for (NodeId id = editor.node_count(); id-- > 0;) {
      if (editor.gone(id) || !is_op(editor.node(id), "QuantizeLinear") || !code_params(graph, editor.node(id)))
        continue;
      const NodeId mover = editor.producer(editor.node(id).inputs[0]);
      if (mover < 0 || mover >= editor.node_count() || !may_pass(editor, editor.node(mover))) continue;
      pull_up(editor, id, mover);
      ++changed.count;
      again = true;
    }
  }
  return changed;
}

}  // namespace octet
