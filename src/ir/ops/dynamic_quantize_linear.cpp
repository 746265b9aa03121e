// DynamicQuantizeLinear(x) -> y u8, y_scale, y_zero_point: one range for all of x, stretched to hold 0.
//   scale = (max(x, 0) - min(x, 0)) / 255       zero_point = sat(rne(-min(x, 0) / scale))
//   y = sat(rne(x / scale) + zero_point)
// A NaN counts for nothing in the range and has the code zero_point. Source: ONNX operator DynamicQuantizeLinear,
// opset 11. A range of zeros has scale 1, as in ONNX Runtime (ONNX would divide by 0).
#include <algorithm>

#include "ir/ops/common.h"

namespace octet {
namespace {

Result<ValueTypes> infer(const NodeContext& context) {
  if (context.dtype(0) != DType::f32)
    return context.error("input 0 is " + std::string(name(context.dtype(0))) + ", expected f32");
  return ValueTypes{{DType::u8, context.shape(0)}, {DType::f32, Shape{}}, {DType::u8, Shape{}}};
}

uint8_t saturated(float code) { return static_cast<uint8_t>(std::isnan(code) ? 0.0f : std::clamp(code, 0.0f, 255.0f)); }

Result<Tensors> reference(const NodeContext&, std::span<const Tensor> inputs) {
  const std::span<const float> x = inputs[0].as<float>();
  float low = 0, high = 0;
  for (const float v : x) {
    low = std::min(low, v);
    high = std::max(high, v);
  }
  const float scale = high == low ? 1.0f : (high - low) / 255.0f;
  const uint8_t zero_point = saturated(std::nearbyint(-low / scale));
  std::vector<uint8_t> y;
  y.reserve(x.size());
  for (const float v : x)
    y.push_back(std::isnan(v) ? zero_point : saturated(std::nearbyint(v / scale) + static_cast<float>(zero_point)));
  return Tensors{Tensor::from<uint8_t>(DType::u8, inputs[0].dims(), y), scalar_f32(scale),
                 Tensor::from<uint8_t>(DType::u8, {}, std::span(&zero_point, 1))};
}

}  // namespace

const OpDef dynamic_quantize_linear_op = {
    .name = "DynamicQuantizeLinear",
    .outputs_min = 3,
    .outputs_max = 3,
    .infer = infer,
    .reference = reference,
};

}  // namespace octet
