// For TensorRT, which takes float biases only: an int32 bias behind DequantizeLinear becomes the float code * scale,
// the same number. Source: docs/tensorrt.md, R20; onnx/onnx-tensorrt#850.

#include "repair/parameters.h"
#include "repair/repair.h"

namespace octet {

Result<Done> float_biases(Graph& graph, RepairLog& log) {
  Editor editor(graph);
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    const Node node = editor.node(id);
    if (!is_any(node, {"Conv", "ConvTranspose", "Gemm"}) || input(node, 2) == k_absent) continue;
    const Node* dequantize = editor.producer(node.inputs[2], "DequantizeLinear");
    const std::optional<StoredCodes> stored = dequantize ? stored_codes(graph, *dequantize) : std::nullopt;
    if (!stored) continue;
    std::vector<float> real;
    for (size_t i = 0; i < stored->codes.size(); ++i)
      real.push_back(static_cast<float>(stored->codes[i]) * stored->scale[stored->channel(i)]);
    log.add(label(graph, node),
            std::string(name(graph.value(dequantize->inputs[0]).dtype)) + " bias behind DequantizeLinear",
            "f32 bias, the same numbers");
    editor.set_input(id, 2,
                     editor.add_constant(graph.value(node.inputs[2]).name + "_real", f32_tensor(stored->dims, real)));
  }
  return Done{};
}

}  // namespace octet
