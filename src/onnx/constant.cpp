// Constant nodes become initializers under the name of their output. Source: ONNX operator Constant, opsets 1 to 25.

#include "onnx/oddity.h"

namespace octet {
namespace {

Result<Tensor> tensor_of(const Importer& importer, const ForeignNode& node, const std::string& key,
                         const Attribute& attribute) {
  if (key == "value")
    if (const auto* t = std::get_if<Tensor>(&attribute)) return *t;
  if (key == "value_float")
    if (const auto* f = std::get_if<float>(&attribute)) return scalar_f32(*f);
  if (key == "value_int")
    if (const auto* i = std::get_if<int64_t>(&attribute)) return s64_tensor({}, std::span(i, 1));
  if (key == "value_floats")
    if (const auto* list = std::get_if<std::vector<float>>(&attribute))
      return f32_tensor({static_cast<int64_t>(list->size())}, *list);
  if (key == "value_ints")
    if (const auto* list = std::get_if<std::vector<int64_t>>(&attribute))
      return s64_tensor({static_cast<int64_t>(list->size())}, *list);
  return importer.error(node,
                        "attribute '" + key + "' is not supported; expected value, value_float(s) or value_int(s)");
}

}  // namespace

Result<Done> convert_constant(Importer& importer, ForeignNode node) {
  if (node.attributes.size() != 1 || !node.inputs.empty() || node.outputs.size() != 1 || node.outputs[0] == k_absent)
    return importer.error(node, "expected one value attribute, no input and one output", ErrorCode::bad_model);
  const auto& [key, attribute] = *node.attributes.begin();
  Result<Tensor> tensor = tensor_of(importer, node, key, attribute);
  if (!tensor) return tensor.error();
  Value& value = importer.graph().value(node.outputs[0]);
  value.dtype = tensor->dtype();
  value.shape = to_shape(tensor->dims());
  value.constant = std::move(*tensor);
  return Done{};
}

}  // namespace octet
