// Slice: starts, ends and axes were attributes before opset 10. Source: ONNX operator Slice, opsets 1 and 10.

#include "onnx/oddity.h"

namespace octet {

Result<Done> convert_slice(Importer& importer, ForeignNode node) {
  if (node.opset >= 10) return importer.emit(std::move(node));
  size_t index = 1;
  for (const char* key : {"starts", "ends", "axes"})
    if (Result<Done> ok = ints_to_input(importer, node, key, index++); !ok) return ok;
  return importer.emit(std::move(node));
}

}  // namespace octet
