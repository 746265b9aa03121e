// BatchNormalization in inference form: y = (x - mean) / sqrt(var + epsilon) * scale + b, per channel (axis 1).
// Source: ONNX operator BatchNormalization, opset 15. Evaluated in double, one rounding.
#include "ir/ops/common.h"
#include "ir/ops/fused.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"epsilon", "momentum"};

Result<ValueTypes> infer(const NodeContext& context) {
  if (Result<Done> ok = require_float(context, 0); !ok) return ok.error();
  const std::optional<Shape>& x = context.shape(0);
  if (x && x->size() < 2) return context.error("input " + to_string(*x) + " has no channel axis (axis 1)");
  for (size_t i = 1; x && i < 5; ++i) {
    const std::optional<Shape>& p = context.shape(i);
    if (p && (p->size() != 1 || ((*p)[0].known() && (*x)[1].known() && (*p)[0].value != (*x)[1].value)))
      return context.error("input " + std::to_string(i) + " is " + to_string(*p) +
                           ", expected one value per channel of " + to_string(*x));
  }
  return infer_same_float(context);
}

Result<Tensors> reference(const NodeContext& context, std::span<const Tensor> inputs) {
  const Dims& dims = inputs[0].dims();
  if (dims.size() < 2) return context.error("input " + to_string(dims) + " has no channel axis (axis 1)");
  std::array<std::vector<float>, 4> p;  // scale, b, mean, var
  for (size_t i = 0; i < 4; ++i) {
    Result<std::vector<float>> values = channel_values(context, inputs, i + 1, dims[1]);
    if (!values) return values.error();
    p[i] = std::move(*values);
  }
  const double epsilon = float_attribute(context.node, "epsilon", 1e-5f);
  const std::vector<double> x = to_doubles(inputs[0]);
  std::vector<float> y(x.size());
  int64_t inner = 1;
  for (size_t d = 2; d < dims.size(); ++d) inner *= dims[d];
  for (size_t i = 0; i < x.size(); ++i) {
    const size_t c = i / static_cast<size_t>(inner) % static_cast<size_t>(dims[1]);
    const double r = static_cast<double>(p[0][c]) / std::sqrt(static_cast<double>(p[3][c]) + epsilon);
    y[i] = static_cast<float>((x[i] - p[2][c]) * r + p[1][c]);
  }
  return from_f32(context, inputs[0].dtype(), dims, y);
}

}  // namespace

const OpDef batch_normalization_op = {.name = "BatchNormalization",
                                      .min_inputs = 5,
                                      .max_inputs = 5,
                                      .attributes = k_attributes,
                                      .infer = infer,
                                      .reference = reference};

}  // namespace octet
