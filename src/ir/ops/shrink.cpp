// Shrink(x; lambd, bias): x < -lambd ? x + bias : x > lambd ? x - bias : 0. Source: ONNX operator Shrink, opset 9.
// Evaluated in double and rounded once; integers truncate and saturate.
#include <algorithm>

#include "ir/ops/common.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"bias", "lambd"};

/// Towards zero, into T's range; NaN gives 0.
template <class T>
T truncated(double v) {
  constexpr T lowest = std::numeric_limits<T>::lowest(), highest = std::numeric_limits<T>::max();
  if (!(v > static_cast<double>(lowest))) return v <= static_cast<double>(lowest) ? lowest : T{0};
  return v >= static_cast<double>(highest) ? highest : static_cast<T>(v);  // 2^63 and 2^64 round up
}

Result<Tensors> reference(const NodeContext& context, std::span<const Tensor> inputs) {
  const double bias = float_attribute(context.node, "bias", 0.0f), lambd = float_attribute(context.node, "lambd", 0.5f);
  return with_number_type(context, inputs[0].dtype(), [&]<class T>(T) {
    return single(map_elements<T>(inputs[0], [=](Wide<T> v) {
      const auto x = static_cast<double>(v);
      const double y = x < -lambd ? x + bias : x > lambd ? x - bias : 0.0;
      if constexpr (std::is_floating_point_v<Wide<T>>)
        return static_cast<Wide<T>>(y);
      else
        return y == x ? v : truncated<T>(y);  // a double has not every 64-bit integer
    }));
  });
}

}  // namespace

const OpDef shrink_op = {.name = "Shrink", .attributes = k_attributes, .infer = infer_same, .reference = reference};

}  // namespace octet
