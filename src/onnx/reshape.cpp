// Reshape: allowzero = 1 (opset 14) reads a 0 of the target shape as an empty extent, not as "copy". Exporters set it
// always; where the target is a constant without 0 it says nothing and goes. Source: ONNX operator Reshape, opset 14.

#include <algorithm>

#include "onnx/oddity.h"

namespace octet {

Result<Done> convert_reshape(Importer& importer, ForeignNode node) {
  const Tensor* target = importer.constant(node, 1);
  if (target && node.attributes.contains("allowzero")) {
    const Result<std::vector<int64_t>> extents = to_int64s(*target);
    if (extents && std::find(extents->begin(), extents->end(), 0) == extents->end()) node.attributes.erase("allowzero");
  }
  return importer.emit(std::move(node));
}

}  // namespace octet
