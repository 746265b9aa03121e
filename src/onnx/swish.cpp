// Swish(x) = x * Sigmoid(alpha * x), alpha = 1 by default. Source: ONNX operator Swish, opset 24.

#include "onnx/oddity.h"

namespace octet {

Result<Done> convert_swish(Importer& importer, ForeignNode node) {
  if (node.inputs.size() != 1 || node.outputs.size() != 1)
    return importer.error(node, "expected an input and an output", ErrorCode::bad_model);
  const Result<const float*> alpha = attribute_of_kind<float>(importer, node, "alpha");
  if (!alpha) return alpha.error();
  const float factor = *alpha ? **alpha : 1.0f;
  const ValueId x = node.inputs[0], gate = importer.add_value(node, "gate");
  ValueId scaled = x;
  if (factor != 1) {
    if (importer.value(x).dtype != DType::f32)
      return importer.error(node,
                            "alpha is " + std::to_string(factor) + "; other factors than 1 are read for float only");
    const ValueId constant =
        importer.add_constant(node, "alpha", Tensor::from<float>(DType::f32, {}, std::span(&factor, 1)));
    scaled = importer.add_value(node, "scaled");
    if (Result<Done> ok = importer.emit({"Mul", "", node.opset, {x, constant}, {scaled}, {}}); !ok) return ok;
  }
  if (Result<Done> ok = importer.emit({"Sigmoid", "", node.opset, {scaled}, {gate}, {}}); !ok) return ok;
  return importer.emit({"Mul", node.name, node.opset, {x, gate}, node.outputs, {}});
}

}  // namespace octet
