// Split: sizes were an attribute before opset 13. Without sizes the IR wants num_outputs, which ONNX has since opset
// 18; before, the number of outputs said it. Source: ONNX operator Split, opsets 2, 13 and 18.

#include "onnx/oddity.h"

namespace octet {

Result<Done> convert_split(Importer& importer, ForeignNode node) {
  if (node.opset < 13)
    if (Result<Done> ok = ints_to_input(importer, node, "split", 1); !ok) return ok;
  if (!importer.has_input(node, 1))
    node.attributes.try_emplace("num_outputs", static_cast<int64_t>(node.outputs.size()));
  return importer.emit(std::move(node));
}

}  // namespace octet
