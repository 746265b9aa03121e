// Squeeze and Unsqueeze: axes were an attribute before opset 13. Source: ONNX operators, opsets 1, 11 and 13.

#include "onnx/oddity.h"

namespace octet {

Result<Done> convert_squeeze(Importer& importer, ForeignNode node) {
  if (node.opset < 13)
    if (Result<Done> ok = ints_to_input(importer, node, "axes", 1); !ok) return ok;
  return importer.emit(std::move(node));
}

}  // namespace octet
