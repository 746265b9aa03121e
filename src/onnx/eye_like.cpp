// EyeLike: `dtype` is a number of TensorProto.DataType in ONNX and a dtype's word in the IR.
// Source: ONNX operator EyeLike, opsets 9 to 22.

#include "onnx/oddity.h"
#include "onnx/schema.h"

namespace octet {

Result<Done> convert_eye_like(Importer& importer, ForeignNode node) {
  const Result<const int64_t*> given = attribute_of_kind<int64_t>(importer, node, "dtype");
  if (!given) return given.error();
  if (*given) {
    const DType dtype = dtype_of_onnx(**given);
    if (dtype == DType::undefined)
      return importer.error(node, "makes " + onnx_type_name(**given) + ", which octet has not");
    node.attributes["dtype"] = std::string(name(dtype));
  }
  return importer.emit(std::move(node));
}

}  // namespace octet
