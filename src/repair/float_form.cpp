// The float network behind a quantized one: pairs on activations go, constants behind DequantizeLinear become the
// numbers they stand for. It is what calibration starts from again.

#include "repair/float_form.h"

#include <algorithm>
#include <cmath>

#include "repair/parameters.h"

namespace octet {
namespace {

bool are_scales(const Tensor& tensor) {
  const std::vector<double> all = to_doubles(tensor);
  return std::all_of(all.begin(), all.end(), [](double s) { return s > 0 && std::isnormal(static_cast<float>(s)); });
}

/// A constant, or made of one by the ops that exporters put around a weight's codes.
bool is_stored(const Editor& editor, ValueId v) {
  while (!editor.graph().constant(v)) {
    const NodeId maker = editor.producer(v);
    if (maker < 0) return false;
    const Node& node = editor.node(maker);
    if (!is_q_or_dq(node) && !is_any(node, {"Cast", "Clip", "Identity", "Reshape", "Transpose"})) return false;
    v = node.inputs[0];
  }
  return true;
}

}  // namespace

void replace_activation_scales(Graph& graph, RepairLog& log) {
  log.repair = "recalibrate";
  Editor editor(graph);
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    const Node& node = editor.node(id);
    if (!is_q_or_dq(node) || is_stored(editor, node.inputs[0])) continue;
    const ValueId v = node.inputs[1];
    const Tensor* scale = graph.constant(v);
    if (!scale || scale->dtype() != DType::f32 || are_scales(*scale)) continue;
    log.add(label(graph, node), "a scale that is none", "a range from the samples", "calibrated anew");
    const std::vector<float> ones(static_cast<size_t>(scale->size()), 1.0f);
    editor.set_input(id, 1, editor.add_constant(graph.value(v).name + "_replaced", f32_tensor(scale->dims(), ones)));
  }
}

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
