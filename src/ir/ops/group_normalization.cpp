// InstanceNormalization(x, scale, bias) and GroupNormalization(x, scale, bias): x [N, C, ...] is normalized over each
// channel, or over each of num_groups groups of channels, then scaled and shifted per channel.
//   y = (x - mean) / sqrt(variance + epsilon) * scale[c] + bias[c]
// Source: ONNX operators InstanceNormalization, opset 22, and GroupNormalization, opset 21 (the reader spreads the
// older form's scale and bias per group). Evaluated in double and rounded once.
#include "ir/ops/common.h"
#include "ir/ops/convolution.h"
#include "ir/ops/fused.h"

namespace octet {
namespace {

constexpr std::string_view k_instance_attributes[] = {"epsilon"};
constexpr std::string_view k_group_attributes[] = {"epsilon", "num_groups", "stash_type"};

Result<int64_t> groups_of(const NodeContext& context, const Dim& channels) {
  if (is_op(context.node, "InstanceNormalization")) return channels.value;
  const int64_t groups = int_attribute(context.node, "num_groups", 0);
  if (groups < 1 || (channels.known() && channels.value % groups != 0))
    return context.error("num_groups is " + std::to_string(groups) + ", which does not divide the channels " +
                         to_string(Shape{channels}));
  return groups;
}

Result<ValueTypes> infer(const NodeContext& context) {
  for (const size_t i : {size_t{1}, size_t{2}})
    if (Result<Done> ok = require_same_dtype(context, 0, i); !ok) return ok.error();
  const std::optional<Shape>& x = context.shape(0);
  if (!x) return infer_same_float(context);
  if (x->size() < 2) return context.error("input " + to_string(*x) + " has no channel axis (axis 1)");
  if (Result<int64_t> groups = groups_of(context, (*x)[1]); !groups) return groups.error();
  for (const size_t i : {size_t{1}, size_t{2}})
    if (Result<Done> ok = require_channels(context, i, context.shape(i), (*x)[1]); !ok) return ok.error();
  return infer_same_float(context);
}

Result<Tensors> reference(const NodeContext& context, std::span<const Tensor> inputs) {
  const Dims& dims = inputs[0].dims();
  if (dims.size() < 2) return context.error("input " + to_string(dims) + " has no channel axis (axis 1)");
  Result<int64_t> groups = groups_of(context, Dim(dims[1]));
  if (!groups) return groups.error();
  Result<std::vector<float>> scale = channel_values(context, inputs, 1, dims[1]);
  Result<std::vector<float>> bias = channel_values(context, inputs, 2, dims[1]);
  if (!scale) return scale.error();
  if (!bias) return bias.error();
  const double epsilon = float_attribute(context.node, "epsilon", 1e-5f);
  std::vector<double> v = to_doubles(inputs[0]);
  const auto channels = static_cast<size_t>(dims[1]);
  const size_t rows = static_cast<size_t>(dims[0]) * static_cast<size_t>(*groups);
  const size_t row = rows == 0 ? 0 : v.size() / rows;
  const size_t plane = v.empty() ? 1 : v.size() / (static_cast<size_t>(dims[0]) * channels);
  for (size_t start = 0; row > 0 && start < v.size(); start += row) {
    double sum = 0, squares = 0;
    for (size_t i = start; i < start + row; ++i) sum += v[i];
    const double mean = sum / static_cast<double>(row);
    for (size_t i = start; i < start + row; ++i) squares += (v[i] - mean) * (v[i] - mean);
    const double deviation = std::sqrt(squares / static_cast<double>(row) + epsilon);
    for (size_t i = start; i < start + row; ++i) {
      const size_t c = i / plane % channels;
      v[i] = (v[i] - mean) / deviation * static_cast<double>((*scale)[c]) + static_cast<double>((*bias)[c]);
    }
  }
  return from_doubles(context, inputs[0].dtype(), dims, v);
}

constexpr OpDef normalization(std::string_view name, std::span<const std::string_view> attributes) {
  return {
      .name = name, .min_inputs = 3, .max_inputs = 3, .attributes = attributes, .infer = infer, .reference = reference};
}

}  // namespace

const OpDef instance_normalization_op = normalization("InstanceNormalization", k_instance_attributes);
const OpDef group_normalization_op = normalization("GroupNormalization", k_group_attributes);

}  // namespace octet
