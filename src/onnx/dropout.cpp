// Dropout at inference is the identity, and its mask all true. In training mode a ratio of 0 is the same; any other
// draws random numbers; whoever runs the file is told (api/model.cpp). Source: ONNX operator Dropout, opsets 7 to 22.

#include "onnx/oddity.h"

namespace octet {

namespace {

/// mask = x == x, or not: true for NaN too.
Result<Done> emit_mask(Importer& importer, const ForeignNode& node) {
  const ValueId same = importer.add_value(node, "same"), other = importer.add_value(node, "other");
  const ValueId x = node.inputs[0], mask = node.outputs[1];
  if (Result<Done> ok = importer.emit({"Equal", "", node.opset, {x, x}, {same}, {}}); !ok) return ok;
  if (Result<Done> ok = importer.emit({"Not", "", node.opset, {same}, {other}, {}}); !ok) return ok;
  return importer.emit({"Or", "", node.opset, {same, other}, {mask}, {}});
}

}  // namespace

Result<Done> convert_dropout(Importer& importer, ForeignNode node) {
  if (node.inputs.empty() || node.outputs.empty())
    return importer.error(node, "expected an input and an output", ErrorCode::bad_model);
  if (importer.has_input(node, 2)) {  // training_mode, since opset 12
    const Tensor *training = importer.constant(node, 2), *ratio = importer.constant(node, 1);
    const bool off =
        training && training->dtype() == DType::boolean && training->size() == 1 && training->at<uint8_t>(0) == 0;
    const bool keeps_all = ratio && ratio->size() == 1 && to_doubles(*ratio)[0] == 0;
    if (!off && !keeps_all) return importer.emit(std::move(node));
  }
  if (node.outputs.size() > 1 && node.outputs[1] != k_absent && importer.is_used(node.outputs[1]))
    if (Result<Done> ok = emit_mask(importer, node); !ok) return ok;
  node.op = "Identity";
  node.inputs.resize(1);
  node.outputs.resize(1);
  node.attributes.clear();
  return importer.emit(std::move(node));
}

}  // namespace octet
