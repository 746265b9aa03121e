// LRN: y = x / (bias + alpha / size * s)^beta, s the sum of squares over `size` neighbouring channels (axis 1), from
// c - floor((size - 1) / 2) to c + ceil((size - 1) / 2). Source: ONNX operator LRN, opset 13. Evaluated in double and
// rounded once.
#include <algorithm>

#include "ir/ops/common.h"
#include "ir/ops/fused.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"alpha", "beta", "bias", "size"};

Result<ValueTypes> infer(const NodeContext& context) {
  if (int_attribute(context.node, "size", 0) < 1) return context.error("size is missing or below 1");
  if (context.shape(0) && context.shape(0)->size() < 2)
    return context.error("input " + to_string(*context.shape(0)) + " has no channel axis (axis 1)");
  return infer_same_float(context);
}

Result<Tensors> reference(const NodeContext& context, std::span<const Tensor> inputs) {
  const Dims& dims = inputs[0].dims();
  if (dims.size() < 2) return context.error("input " + to_string(dims) + " has no channel axis (axis 1)");
  const double alpha = float_attribute(context.node, "alpha", 1e-4f),
               beta = float_attribute(context.node, "beta", 0.75f);
  const double bias = float_attribute(context.node, "bias", 1.0f);
  const int64_t size = std::min(int_attribute(context.node, "size", 1), 2 * dims[1] + 2);
  const std::vector<double> x = to_doubles(inputs[0]);
  std::vector<double> y(x.size());
  const int64_t channels = dims[1], plane = *element_count(std::span(dims).subspan(2));
  for (size_t i = 0; i < x.size(); ++i) {
    const auto at = static_cast<int64_t>(i);
    const int64_t c = at / plane % channels;
    double sum = 0;
    for (int64_t k = std::max<int64_t>(c - (size - 1) / 2, 0); k <= std::min(c + size / 2, channels - 1); ++k) {
      const double v = x[static_cast<size_t>(at + (k - c) * plane)];
      sum += v * v;
    }
    y[i] = x[i] / std::pow(bias + alpha / static_cast<double>(int_attribute(context.node, "size", 1)) * sum, beta);
  }
  return from_doubles(context, inputs[0].dtype(), dims, y);
}

}  // namespace

const OpDef lrn_op = {.name = "LRN", .attributes = k_attributes, .infer = infer, .reference = reference};

}  // namespace octet
