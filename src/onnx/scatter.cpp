// Scatter: the name of ScatterElements without a reduction in opsets 9 and 10. Source: ONNX operator Scatter, opsets 9
// and 11.

#include "onnx/oddity.h"

namespace octet {

Result<Done> convert_scatter(Importer& importer, ForeignNode node) {
  node.op = "ScatterElements";
  return importer.emit(std::move(node));
}

}  // namespace octet
