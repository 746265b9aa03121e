// Split: sizes were an attribute before opset 13. num_outputs (opset 18) allows a shorter last part; where the parts
// are equal it says nothing and goes. Source: ONNX operator Split, opsets 2, 13 and 18.

#include "onnx/lowering.h"
#include "onnx/oddity.h"

namespace octet {

Result<Done> convert_split(Importer& importer, ForeignNode node) {
  if (node.opset < 13)
    if (Result<Done> ok = ints_to_input(importer, node, "split", 1); !ok) return ok;
  const Result<const int64_t*> given = attribute_of_kind<int64_t>(importer, node, "num_outputs");
  if (!given) return given.error();
  const auto parts = static_cast<int64_t>(node.outputs.size());
  if (!*given || **given != parts || parts == 0) return importer.emit(std::move(node));  // the op judges a wrong number
  const Shape* shape = importer.shape(node, 0);
  const Result<const int64_t*> axis = attribute_of_kind<int64_t>(importer, node, "axis");
  if (!axis) return axis.error();
  const std::optional<int64_t> extent = shape ? extent_of(*shape, *axis ? **axis : 0) : std::nullopt;
  if (extent && *extent % parts == 0) node.attributes.erase("num_outputs");
  return importer.emit(std::move(node));
}

}  // namespace octet
