// Pad: widths and value were attributes before opset 11. Source: ONNX operator Pad, opsets 2 and 11.

#include "onnx/oddity.h"

namespace octet {

Result<Done> convert_pad(Importer& importer, ForeignNode node) {
  if (node.opset >= 11) return importer.emit(std::move(node));
  if (Result<Done> ok = ints_to_input(importer, node, "pads", 1); !ok) return ok;
  const Result<const float*> fill = attribute_of_kind<float>(importer, node, "value");
  if (!fill) return fill.error();
  const float value = *fill ? **fill : 0.0f;
  node.attributes.erase("value");
  if (value != 0.0f) {  // zero is what an absent input means
    if (importer.has_input(node, 0) && importer.value(node.inputs[0]).dtype != DType::f32)
      return importer.error(node, "attribute 'value' is a float, but the input is not f32");
    set_input(node, 2, importer.add_constant(node, "value", scalar_f32(value)));
  }
  return importer.emit(std::move(node));
}

}  // namespace octet
