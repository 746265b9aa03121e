// MeanVarianceNormalization(x; axes): (x - mean) / (sqrt(variance) + 1e-9), both taken over axes ([0,2,3] where
// absent). Source: ONNX operator MeanVarianceNormalization, opset 13. Evaluated in double and rounded once.
#include "ir/ops/common.h"
#include "ir/ops/fused.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"axes"};

Result<std::vector<size_t>> axes_of(const NodeContext& context, size_t rank) {
  return normalized_axes(context, ints_attribute(context.node, "axes", {0, 2, 3}), rank);
}

Result<ValueTypes> infer(const NodeContext& context) {
  if (context.shape(0))
    if (Result<std::vector<size_t>> axes = axes_of(context, context.shape(0)->size()); !axes) return axes.error();
  return infer_same_float(context);
}

Result<Tensors> reference(const NodeContext& context, std::span<const Tensor> inputs) {
  const Dims& dims = inputs[0].dims();
  const Result<std::vector<size_t>> axes = axes_of(context, dims.size());
  if (!axes) return axes.error();
  if (inputs[0].size() == 0) return Tensors{inputs[0]};
  Dims kept = dims;
  for (const size_t axis : *axes) kept[axis] = 1;
  const std::array strides = {broadcast_strides(kept, dims)};
  const auto groups = static_cast<size_t>(*element_count(kept));
  std::vector<double> x = to_doubles(inputs[0]), mean(groups), variance(groups);
  const double n = static_cast<double>(x.size()) / static_cast<double>(groups);
  const auto each = [&](auto body) {  // element, group
    for_each_index<1>(dims, strides, [&](int64_t i, const std::array<int64_t, 1>& at) {
      body(x[static_cast<size_t>(i)], static_cast<size_t>(at[0]));
    });
  };
  each([&](double v, size_t g) { mean[g] += v / n; });
  each([&](double v, size_t g) { variance[g] += (v - mean[g]) * (v - mean[g]) / n; });
  each([&](double& v, size_t g) { v = (v - mean[g]) / (std::sqrt(variance[g]) + 1e-9); });
  return from_doubles(context, inputs[0].dtype(), dims, x);
}

}  // namespace

const OpDef mean_variance_normalization_op = {
    .name = "MeanVarianceNormalization", .attributes = k_attributes, .infer = infer, .reference = reference};

}  // namespace octet
