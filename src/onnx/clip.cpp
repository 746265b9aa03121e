// Clip: bounds were attributes before opset 11. Source: ONNX operator Clip, opsets 6 and 11.

#include "onnx/oddity.h"
#include "tensor/half.h"

namespace octet {
namespace {

Result<Tensor> scalar_of(const Importer& importer, const ForeignNode& node, DType dtype, float bound) {
  const double wide = bound;
  const uint16_t half = float_to_half(bound);
  switch (dtype) {
    case DType::f32:
    case DType::undefined: return scalar_f32(bound);
    case DType::f64: return Tensor::from<double>(dtype, {}, std::span(&wide, 1));
    case DType::f16: return Tensor::from<uint16_t>(dtype, {}, std::span(&half, 1));
    default: return importer.error(node, "is defined for floats, its input is " + std::string(name(dtype)));
  }
}

}  // namespace

Result<Done> convert_clip(Importer& importer, ForeignNode node) {
  if (node.opset >= 11 || node.inputs.size() != 1) return importer.emit(std::move(node));
  const DType dtype = node.inputs[0] == k_absent ? DType::undefined : importer.value(node.inputs[0]).dtype;
  size_t index = 1;
  for (const std::string key : {"min", "max"}) {
    const Result<const float*> bound = attribute_of_kind<float>(importer, node, key);
    if (!bound) return bound.error();
    if (*bound) {  // an absent bound is the largest float, which is what an absent input means too
      Result<Tensor> tensor = scalar_of(importer, node, dtype, **bound);
      if (!tensor) return tensor.error();
      set_input(node, index, importer.add_constant(node, key, std::move(*tensor)));
      node.attributes.erase(key);
    }
    ++index;
  }
  return importer.emit(std::move(node));
}

}  // namespace octet
