// Dropout at inference is the identity; its mask is refused when somebody reads it. Source: ONNX operator Dropout,
// opsets 7 to 22.

#include "onnx/oddity.h"

namespace octet {

Result<Done> convert_dropout(Importer& importer, ForeignNode node) {
  if (node.inputs.empty() || node.outputs.empty())
    return importer.error(node, "expected an input and an output", ErrorCode::bad_model);
  if (importer.has_input(node, 2)) {  // training_mode, since opset 12
    const Tensor* training = importer.constant(node, 2);
    if (!training || training->dtype() != DType::boolean || training->size() != 1 || training->at<uint8_t>(0) != 0)
      return importer.error(node, "input training_mode may be true; octet runs inference only");
  }
  if (node.outputs.size() > 1 && node.outputs[1] != k_absent && importer.is_used(node.outputs[1]))
    return importer.error(node, "output mask '" + importer.value(node.outputs[1]).name + "' is used; octet makes none");
  node.op = "Identity";
  node.inputs.resize(1);
  node.outputs.resize(1);
  node.attributes.clear();
  return importer.emit(std::move(node));
}

}  // namespace octet
