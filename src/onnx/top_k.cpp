// TopK: k was an attribute before opset 10. Source: ONNX operator TopK, opsets 1 and 10.

#include "onnx/oddity.h"

namespace octet {

Result<Done> convert_top_k(Importer& importer, ForeignNode node) {
  if (node.opset >= 10) return importer.emit(std::move(node));
  const Result<const int64_t*> k = attribute_of_kind<int64_t>(importer, node, "k");
  if (!k) return k.error();
  if (!*k) return importer.error(node, "attribute 'k' is missing", ErrorCode::bad_model);
  const int64_t count = **k;
  node.attributes.erase("k");
  set_input(node, 1, importer.add_constant(node, "k", s64_tensor({1}, std::span(&count, 1))));
  return importer.emit(std::move(node));
}

}  // namespace octet
