#include "onnx/oddity.h"

namespace octet {

Oddity find_oddity(std::string_view op_type) {
#define OCTET_ONNX_ODDITY(op, function) \
  if (op_type == #op) return function;
#define OCTET_ONNX_REPLACED(op, by, function) OCTET_ONNX_ODDITY(op, function)
#define OCTET_ONNX_FOREIGN(domain, op, function)
#include "onnx/map.def"
#undef OCTET_ONNX_ODDITY
#undef OCTET_ONNX_REPLACED
#undef OCTET_ONNX_FOREIGN
  return nullptr;
}

std::string_view ir_op_of(std::string_view op_type) {
#define OCTET_ONNX_ODDITY(op, function)
#define OCTET_ONNX_REPLACED(op, by, function) \
  if (op_type == #op) return by;
#define OCTET_ONNX_FOREIGN(domain, op, function)
#include "onnx/map.def"
#undef OCTET_ONNX_ODDITY
#undef OCTET_ONNX_REPLACED
#undef OCTET_ONNX_FOREIGN
  return op_type;
}

Oddity find_foreign_oddity([[maybe_unused]] std::string_view wanted_domain, [[maybe_unused]] std::string_view op_type) {
#define OCTET_ONNX_ODDITY(op, function)
#define OCTET_ONNX_REPLACED(op, by, function)
#define OCTET_ONNX_FOREIGN(domain, op, function) \
  if (wanted_domain == domain && op_type == #op) return function;
#include "onnx/map.def"
#undef OCTET_ONNX_ODDITY
#undef OCTET_ONNX_REPLACED
#undef OCTET_ONNX_FOREIGN
  return nullptr;
}

void set_input(ForeignNode& node, size_t index, ValueId id) {
  if (node.inputs.size() <= index) node.inputs.resize(index + 1, k_absent);
  node.inputs[index] = id;
}

Result<Done> ints_to_input(Importer& importer, ForeignNode& node, const std::string& key, size_t index) {
  const Result<const std::vector<int64_t>*> found = attribute_of_kind<std::vector<int64_t>>(importer, node, key);
  if (!found) return found.error();
  if (!*found) return Done{};
  const std::vector<int64_t> values = **found;
  node.attributes.erase(key);
  set_input(node, index, importer.add_constant(node, key, s64_tensor({static_cast<int64_t>(values.size())}, values)));
  return Done{};
}

}  // namespace octet
