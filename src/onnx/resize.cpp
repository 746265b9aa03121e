// Resize, and Upsample, its form before opset 10: y is x sampled on a grid `scales` times as fine.
//   Upsample (7: scales attribute, 9: input) and Resize 10: asymmetric coordinates, nearest takes the floor.
//   Resize 11 wants roi, scales and sizes as inputs, possibly empty; since 13 they may be absent.
// Source: ONNX operators Upsample (7, 9) and Resize (10, 11, 13, 18, 19).

#include "onnx/oddity.h"

namespace octet {
namespace {

void make_asymmetric(ForeignNode& node) {
  node.attributes["coordinate_transformation_mode"] = std::string("asymmetric");
  const auto mode = node.attributes.find("mode");
  if (mode == node.attributes.end() || mode->second == Attribute(std::string("nearest")))
    node.attributes["nearest_mode"] = std::string("floor");
}

Result<Done> emit_resize(Importer& importer, ForeignNode node) {
  for (size_t i = 1; i < node.inputs.size(); ++i) {
    const Tensor* given = importer.constant(node, i);
    if (given && given->size() == 0) node.inputs[i] = k_absent;
  }
  const auto mode = node.attributes.find("coordinate_transformation_mode");
  const bool crops = mode != node.attributes.end() && mode->second == Attribute(std::string("tf_crop_and_resize"));
  if (!crops && importer.has_input(node, 1)) node.inputs[1] = k_absent;  // roi is read in that mode alone
  return importer.emit(std::move(node));
}

}  // namespace

Result<Done> convert_upsample(Importer& importer, ForeignNode node) {
  const Result<const std::vector<float>*> scales = attribute_of_kind<std::vector<float>>(importer, node, "scales");
  if (!scales) return scales.error();
  ValueId factors = importer.has_input(node, 1) ? node.inputs[1] : k_absent;
  if (*scales)
    factors = importer.add_constant(node, "scales", f32_tensor({static_cast<int64_t>((*scales)->size())}, **scales));
  node.attributes.erase("scales");
  node.inputs.resize(1);
  set_input(node, 2, factors);
  node.op = "Resize";
  make_asymmetric(node);
  const auto mode = node.attributes.find("mode");
  if (mode != node.attributes.end() && mode->second == Attribute(std::string("bilinear")))
    mode->second = std::string("linear");
  return emit_resize(importer, std::move(node));
}

Result<Done> convert_resize(Importer& importer, ForeignNode node) {
  if (node.opset >= 11) return emit_resize(importer, std::move(node));
  if (node.inputs.size() != 2) return importer.error(node, "expected two inputs", ErrorCode::bad_model);
  const ValueId scales = node.inputs[1];
  node.inputs.resize(1);
  set_input(node, 2, scales);
  make_asymmetric(node);
  return emit_resize(importer, std::move(node));
}

}  // namespace octet
