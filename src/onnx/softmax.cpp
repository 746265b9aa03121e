// Softmax, LogSoftmax and Hardmax: before opset 13 the input is a matrix, cut at axis (default 1), and a row is
// normalized as a whole:
//   y = Reshape(Softmax(Flatten(x, axis), axis=1), shape of x)
// Since opset 13 one axis is normalized (default -1). Both agree when everything behind axis has extent 1.
// Source: ONNX operators Softmax, LogSoftmax and Hardmax, opsets 1, 11 and 13.

#include "onnx/oddity.h"

namespace octet {
namespace {

/// The constant shape to go back to; one unknown extent may be -1.
std::optional<std::vector<int64_t>> reshape_target(const Shape& shape) {
  std::vector<int64_t> target;
  size_t unknown = 0;
  bool empty = false;
  for (const Dim& d : shape) {
    target.push_back(d.known() ? d.value : -1);
    unknown += !d.known();
    empty = empty || d.value == 0;
  }
  if (unknown > 1 || empty) return std::nullopt;  // Reshape reads 0 as "copy"
  return target;
}

Result<Done> emit_over_rows(Importer& importer, ForeignNode node, const Shape& shape, int64_t axis) {
  const ValueId x = node.inputs[0];
  const ValueId y = node.outputs[0];
  const ValueId rows = importer.add_value(node, "rows");
  const ValueId scaled = importer.add_value(node, "normalized");
  ValueId target;
  const std::optional<std::vector<int64_t>> known = reshape_target(shape);
  if (known) {
    target = importer.add_constant(node, "shape", s64_tensor({static_cast<int64_t>(known->size())}, *known));
  } else {
    target = importer.add_value(node, "shape");
    if (Result<Done> ok = importer.emit({"Shape", "", node.opset, {x}, {target}, {}}); !ok) return ok;
  }
  if (Result<Done> ok = importer.emit({"Flatten", "", node.opset, {x}, {rows}, {{"axis", axis}}}); !ok) return ok;
  node.inputs = {rows};
  node.outputs = {scaled};
  node.attributes = {{"axis", int64_t{1}}};
  if (Result<Done> ok = importer.emit(node); !ok) return ok;
  return importer.emit({"Reshape", "", node.opset, {scaled, target}, {y}, {}});
}

}  // namespace

Result<Done> convert_softmax(Importer& importer, ForeignNode node) {
  if (node.opset >= 13) return importer.emit(std::move(node));
  const Result<const int64_t*> given = attribute_of_kind<int64_t>(importer, node, "axis");
  if (!given) return given.error();
  int64_t axis = *given ? **given : 1;
  const Shape* shape = importer.shape(node, 0);
  if (!shape)
    return importer.error(node, "opset " + std::to_string(node.opset) +
                                    " flattens the input, whose rank is unknown; give the graph inputs shapes");
  if (node.outputs.size() != 1 || node.outputs[0] == k_absent)
    return importer.error(node, "expected one output", ErrorCode::bad_model);
  const auto rank = static_cast<int64_t>(shape->size());
  if (axis < 0) axis += rank;
  if (axis < 0 || axis > rank || rank == 0)
    return importer.error(
        node, "axis " + std::to_string(*given ? **given : 1) + " does not fit the input " + to_string(*shape),
        ErrorCode::bad_model);
  bool ones_behind = axis < rank;
  for (auto d = static_cast<size_t>(axis) + 1; d < shape->size(); ++d)
    ones_behind = ones_behind && (*shape)[d].value == 1;
  if (!ones_behind) return emit_over_rows(importer, std::move(node), Shape(*shape), axis);
  node.attributes["axis"] = axis;
  return importer.emit(std::move(node));
}

}  // namespace octet
