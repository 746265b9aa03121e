// RMSNormalization(x, scale): over all axes from axis on, y = x / sqrt(mean(x * x) + epsilon) * scale.
// Source: ONNX operator RMSNormalization, opset 23. Evaluated in double and rounded once.
#include "ir/ops/common.h"
#include "ir/ops/fused.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"axis", "epsilon", "stash_type"};

Result<ValueTypes> infer(const NodeContext& context) {
  if (Result<Done> ok = require_float(context, 1); !ok) return ok.error();
  if (!context.shape(0)) return infer_same_float(context);
  Result<size_t> axis = normalized_axis(context, int_attribute(context.node, "axis", -1), context.shape(0)->size());
  if (!axis) return axis.error();
  if (context.shape(1)) {
    Result<Shape> both = broadcast_shapes(context, *context.shape(0), *context.shape(1));
    if (!both) return both.error();
    if (both->size() != context.shape(0)->size()) return context.error("scale has a higher rank than x");
  }
  return infer_same_float(context);
}

Result<Tensors> reference(const NodeContext& context, std::span<const Tensor> inputs) {
  const Tensor& x = inputs[0];
  Result<size_t> axis = normalized_axis(context, int_attribute(context.node, "axis", -1), x.rank());
  if (!axis) return axis.error();
  Result<Dims> both = broadcast_dims(context, x.dims(), inputs[1].dims());
  if (!both) return both.error();
  if (*both != x.dims())
    return context.error("scale " + to_string(inputs[1].dims()) + " does not broadcast to " + to_string(x.dims()));
  const auto row = static_cast<size_t>(*element_count(std::span(x.dims()).subspan(*axis)));
  const double epsilon = float_attribute(context.node, "epsilon", 1e-5f);
  std::vector<double> v = to_doubles(x);
  for (size_t start = 0; row > 0 && start < v.size(); start += row) {
    double squares = 0;
    for (size_t i = start; i < start + row; ++i) squares += v[i] * v[i];
    const double root = std::sqrt(squares / static_cast<double>(row) + epsilon);
    for (size_t i = start; i < start + row; ++i) v[i] /= root;
  }
  const std::vector<double> scale = to_doubles(inputs[1]);
  const std::array strides = {broadcast_strides(inputs[1].dims(), x.dims())};
  for_each_index<1>(x.dims(), strides, [&](int64_t i, const std::array<int64_t, 1>& at) {
    v[static_cast<size_t>(i)] *= scale[static_cast<size_t>(at[0])];
  });
  return from_doubles(context, x.dtype(), x.dims(), v);
}

}  // namespace

const OpDef rms_normalization_op = {.name = "RMSNormalization",
                                    .min_inputs = 2,
                                    .max_inputs = 2,
                                    .attributes = k_attributes,
                                    .infer = infer,
                                    .reference = reference};

}  // namespace octet
