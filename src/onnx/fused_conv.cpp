// FusedConv(x, w, b?, z?): y = activation(Conv(x, w, b) + z), as its parts. Source: onnxruntime
// docs/ContribOperators.md (com.microsoft).

#include <algorithm>

#include "onnx/oddity.h"

namespace octet {
namespace {

/// The activation's parameters under the names that the ONNX op gives them.
Result<Attributes> activation_attributes(const Importer& importer, const ForeignNode& node, const std::string& op,
                                         const std::vector<float>& params) {
  std::vector<const char*> names;
  if (op == "LeakyRelu") names = {"alpha"};
  if (op == "HardSigmoid") names = {"alpha", "beta"};
  if (op == "Clip") names = {"min", "max"};
  if (params.size() > names.size())
    return importer.error(node, "activation '" + op + "' has " + std::to_string(params.size()) +
                                    " parameters, expected " + std::to_string(names.size()));
  Attributes attributes;
  for (size_t i = 0; i < params.size(); ++i) attributes[names[i]] = params[i];
  return attributes;
}

Result<Done> emit_named(Importer& importer, ForeignNode node) {
  const Oddity oddity = find_oddity(node.op);
  return oddity ? oddity(importer, std::move(node)) : importer.emit(std::move(node));
}

}  // namespace

Result<Done> convert_fused_conv(Importer& importer, ForeignNode node) {
  const Result<const std::string*> named = attribute_of_kind<std::string>(importer, node, "activation");
  if (!named) return named.error();
  const std::string op = *named ? **named : "";
  const Result<const std::vector<float>*> listed =
      attribute_of_kind<std::vector<float>>(importer, node, "activation_params");
  if (!listed) return listed.error();
  const std::vector<float> params = *listed ? **listed : std::vector<float>();
  const std::string_view known[] = {"", "Relu", "LeakyRelu", "Clip", "Sigmoid", "HardSigmoid", "Tanh"};
  if (std::find(std::begin(known), std::end(known), op) == std::end(known))
    return importer.error(node, "activation '" + op + "' is not supported");
  const Result<Attributes> of_activation = activation_attributes(importer, node, op, params);
  if (!of_activation) return of_activation.error();
  node.attributes.erase("activation");
  node.attributes.erase("activation_params");
  if (node.outputs.size() != 1 || node.outputs[0] == k_absent || node.inputs.size() < 2)
    return importer.error(node, "expected two to four inputs and one output", ErrorCode::bad_model);
  const ValueId y = node.outputs[0];
  const ValueId z = importer.has_input(node, 3) ? node.inputs[3] : k_absent;
  if (node.inputs.size() > 3) node.inputs.resize(3);
  node.op = "Conv";
  const ValueId product = op.empty() && z == k_absent ? y : importer.add_value(node, "conv");
  const ValueId sum = z == k_absent ? k_absent : op.empty() ? y : importer.add_value(node, "sum");
  node.outputs = {product};
  const int64_t opset = node.opset;
  ValueId last = product;
  // Clip's bounds are attributes up to opset 10, which its oddity reads.
  const ForeignNode act{op, "", op == "Clip" ? 10 : opset, {}, {y}, *of_activation};
  if (Result<Done> ok = emit_named(importer, std::move(node)); !ok) return ok;
  if (z != k_absent) {
    if (Result<Done> ok = importer.emit({"Add", "", opset, {product, z}, {sum}, {}}); !ok) return ok;
    last = sum;
  }
  if (op.empty()) return Done{};
  ForeignNode activation = act;
  activation.inputs = {last};
  return emit_named(importer, std::move(activation));
}

}  // namespace octet
