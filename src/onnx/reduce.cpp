// Reductions: axes were an attribute before opset 18 (ReduceSum: 13). Source: ONNX operators Reduce*, opsets 1, 13
// and 18.

#include "onnx/oddity.h"

namespace octet {

Result<Done> convert_reduce(Importer& importer, ForeignNode node) {
  const int64_t since = node.op == "ReduceSum" ? 13 : 18;
  if (node.opset < since)
    if (Result<Done> ok = ints_to_input(importer, node, "axes", 1); !ok) return ok;
  return importer.emit(std::move(node));
}

}  // namespace octet
