// Cast: `to` is a number of TensorProto.DataType in ONNX and a dtype's word in the IR. CastLike takes the dtype of its
// second input, which inference knows. Source: ONNX operators Cast (6 to 28) and CastLike (15 to 25).

#include "onnx/oddity.h"
#include "onnx/schema.h"

namespace octet {

Result<Done> convert_cast(Importer& importer, ForeignNode node) {
  const Result<const int64_t*> to = attribute_of_kind<int64_t>(importer, node, "to");
  if (!to) return to.error();
  if (!*to) return importer.error(node, "attribute 'to' is missing", ErrorCode::bad_model);
  const DType dtype = dtype_of_onnx(**to);
  if (dtype == DType::undefined)
    return importer.error(node, "casts to " + onnx_type_name(**to) + ", which octet has not");
  node.attributes["to"] = std::string(name(dtype));
  if (!is_short_float(dtype)) node.attributes.erase("saturate");
  return importer.emit(std::move(node));
}

Result<Done> convert_cast_like(Importer& importer, ForeignNode node) {
  if (node.inputs.size() != 2 || !importer.has_input(node, 1))
    return importer.error(node, "expected two inputs", ErrorCode::bad_model);
  const DType dtype = importer.value(node.inputs[1]).dtype;
  node.op = "Cast";
  node.inputs.pop_back();
  node.attributes["to"] = std::string(name(dtype));
  if (!is_short_float(dtype)) node.attributes.erase("saturate");
  return importer.emit(std::move(node));
}

}  // namespace octet
