// LayerNormalization(x, scale, bias?): over all axes from axis on,
//   y = (x - mean) / sqrt(variance + epsilon) * scale + bias
// Outputs 1 and 2 are f32 (stash_type): the mean and 1 / sqrt(variance + epsilon), with extents of 1 on those axes.
// Source: ONNX operator LayerNormalization, opset 17. Evaluated in double and rounded once.
#include "ir/ops/common.h"
#include "ir/ops/fused.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"axis", "epsilon", "stash_type"};

Result<ValueTypes> infer(const NodeContext& context) {
  for (size_t i = 1; i < context.input_count(); ++i) {
    if (!context.has_input(i)) continue;
    if (Result<Done> ok = require_same_dtype(context, 0, i); !ok) return ok.error();
    if (!context.shape(0) || !context.shape(i)) continue;
    Result<Shape> both = broadcast_shapes(context, *context.shape(0), *context.shape(i));
    if (!both) return both.error();
    if (both->size() != context.shape(0)->size())
      return context.error("input " + std::to_string(i) + " has a higher rank than x");
  }
  Result<ValueTypes> types = infer_same_float(context);
  if (!types) return types;
  types->resize(3, {DType::f32, {}});
  if (!context.shape(0)) return types;
  Result<size_t> axis = normalized_axis(context, int_attribute(context.node, "axis", -1), context.shape(0)->size());
  if (!axis) return axis.error();
  Shape statistics = *context.shape(0);
  for (size_t d = *axis; d < statistics.size(); ++d) statistics[d] = Dim(1);
  (*types)[1].shape = (*types)[2].shape = statistics;
  return types;
}

/// scale or bias as double, spread over x's extents.
Result<std::vector<double>> spread(const NodeContext& context, const Tensor& t, const Dims& x) {
  Result<Dims> both = broadcast_dims(context, x, t.dims());
  if (!both) return both.error();
  if (*both != x)
    return context.error("scale or bias " + to_string(t.dims()) + " does not broadcast to " + to_string(x));
  Result<Tensor> full = gather_strided(t, x, broadcast_strides(t.dims(), x));
  if (!full) return full.error();
  return to_doubles(*full);
}

Result<Tensors> layer_normalization(const NodeContext& context, std::span<const Tensor> inputs) {
  const Tensor& x = inputs[0];
  Result<size_t> axis = normalized_axis(context, int_attribute(context.node, "axis", -1), x.rank());
  if (!axis) return axis.error();
  Result<std::vector<double>> scale = spread(context, inputs[1], x.dims());
  if (!scale) return scale.error();
  Result<std::vector<double>> bias = std::vector<double>(scale->size(), 0.0);
  if (is_present(inputs, 2)) bias = spread(context, inputs[2], x.dims());
  if (!bias) return bias.error();
  const auto epsilon = static_cast<double>(float_attribute(context.node, "epsilon", 1e-5f));
  std::vector<double> v = to_doubles(x);
  const int64_t counted = *element_count(std::span(x.dims()).subspan(*axis));
  const auto row = static_cast<size_t>(counted);
  std::vector<float> means, inverses;
  for (size_t start = 0; row > 0 && start < v.size(); start += row) {
    double sum = 0, squares = 0;
    for (size_t i = start; i < start + row; ++i) sum += v[i];
    const double mean = sum / static_cast<double>(row);
    for (size_t i = start; i < start + row; ++i) squares += (v[i] - mean) * (v[i] - mean);
    const double deviation = std::sqrt(squares / static_cast<double>(row) + epsilon);
    means.push_back(static_cast<float>(mean));
    inverses.push_back(static_cast<float>(1 / deviation));
    for (size_t i = start; i < start + row; ++i) v[i] = (v[i] - mean) / deviation * (*scale)[i] + (*bias)[i];
  }
  Dims statistics = x.dims();
  for (size_t d = *axis; d < statistics.size(); ++d) statistics[d] = 1;
  Result<Tensors> made = from_doubles(context, x.dtype(), x.dims(), v);
  if (!made) return made;
  if (row == 0) means.assign(static_cast<size_t>(*element_count(statistics)), 0.0f), inverses = means;
  made->push_back(f32_tensor(statistics, means));
  made->push_back(f32_tensor(statistics, inverses));
  return made;
}

}  // namespace

const OpDef layer_normalization_op = {
    .name = "LayerNormalization",
    .min_inputs = 2,
    .max_inputs = 3,
    .outputs_max = 3,
    .attributes = k_attributes,
    .infer = infer,
    .reference = layer_normalization,
};

}  // namespace octet
