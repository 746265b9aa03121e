// ConvInteger(x, w, x_zero_point?, w_zero_point?): y s32 = convolution of (x - x_zero_point) with (w - w_zero_point);
// w_zero_point is one number or one per output channel. Padding contributes zero. Sums are exact and wrap to int32.
// Source: ONNX operator ConvInteger, opset 10.
#include <algorithm>

#include "ir/ops/common.h"
#include "ir/ops/convolution.h"
#include "ir/ops/fused.h"

namespace octet {
namespace {

Result<ValueTypes> infer(const NodeContext& context) {
  for (const size_t i : {size_t{0}, size_t{1}})
    if (Result<Done> ok = require_codes(context, i); !ok) return ok.error();
  for (const size_t i : {size_t{2}, size_t{3}})
    if (context.has_input(i))
      if (Result<Done> ok = require_same_dtype(context, i - 2, i); !ok) return ok.error();
  Result<std::optional<Shape>> y = conv_shape(context, context.shape(0), context.shape(1));
  if (!y) return y.error();
  return ValueTypes{{DType::s32, std::move(*y)}};
}

/// Codes without their zero points; a list of zero points counts along axis 0.
Result<std::vector<int32_t>> centred(const NodeContext& context, std::span<const Tensor> inputs, size_t i) {
  std::vector<int32_t> values = code_values(inputs[i]);
  if (!is_present(inputs, i + 2)) return values;
  const std::vector<int32_t> zero = code_values(inputs[i + 2]);
  const auto rows = static_cast<size_t>(inputs[i].dims()[0]);
  if (zero.size() != 1 && (i == 0 || zero.size() != rows))
    return context.error("input " + std::to_string(i + 2) + " has " + std::to_string(zero.size()) +
                         " zero points, expected one" + (i == 1 ? " or one per output channel" : ""));
  const size_t row = rows == 0 ? 1 : std::max<size_t>(values.size() / rows, 1);
  for (size_t k = 0; k < values.size(); ++k) values[k] -= zero[zero.size() == 1 ? 0 : k / row];
  return values;
}

Result<Tensors> reference(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<ConvGeometry> geometry = conv_geometry(context, inputs[0], inputs[1]);
  if (!geometry) return geometry.error();
  const ConvGeometry& g = *geometry;
  Result<std::vector<int32_t>> x = centred(context, inputs, 0), w = centred(context, inputs, 1);
  if (!x) return x.error();
  if (!w) return w.error();
  std::vector<int32_t> y;
  std::vector<int64_t> plane;
  const int64_t weights_per_oc = g.ic / g.groups * g.taps(), oc_per_group = g.oc / g.groups;
  for (int64_t n = 0; n < g.batch; ++n) {
    for (int64_t oc = 0; oc < g.oc; ++oc) {
      plane.assign(static_cast<size_t>(g.out_plane()), 0);
      const int64_t first = oc / oc_per_group * (g.ic / g.groups);
      convolve_plane(g, x->data() + (n * g.ic + first) * g.in_plane(), w->data() + oc * weights_per_oc, plane);
      for (const int64_t sum : plane) y.push_back(static_cast<int32_t>(sum));
    }
  }
  return Tensors{Tensor::from<int32_t>(DType::s32, g.y_dims, y)};
}

}  // namespace

const OpDef conv_integer_op = {
    .name = "ConvInteger",
    .min_inputs = 2,
    .max_inputs = 4,
    .attributes = k_conv_attributes,
    .infer = infer,
    .reference = reference,
};

}  // namespace octet
