// LpNormalization(x; axis, p): x divided by the norm of its line along axis, p = 1: sum of |x|, p = 2: root of the sum
// of squares. A line of zeros stays zeros, as ONNX Runtime has it. Source: ONNX operator LpNormalization, opset 22.
// Evaluated in double and rounded once.
#include "ir/ops/fused.h"
#include "ir/ops/lines.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"axis", "p"};

Result<ValueTypes> infer(const NodeContext& context) {
  const int64_t p = int_attribute(context.node, "p", 2);
  if (p != 1 && p != 2) return context.error("p is " + std::to_string(p) + ", expected 1 or 2");
  return infer_along_axis(context);
}

Result<Tensors> reference(const NodeContext& context, std::span<const Tensor> inputs) {
  const Dims& dims = inputs[0].dims();
  const Result<size_t> axis = normalized_axis(context, int_attribute(context.node, "axis", -1), dims.size());
  if (!axis) return axis.error();
  const bool squares = int_attribute(context.node, "p", 2) == 2;
  std::vector<double> x = to_doubles(inputs[0]);
  for_each_line(dims, *axis, [&](int64_t first, int64_t step) {
    double sum = 0;
    const auto element = [&](int64_t i) -> double& { return x[static_cast<size_t>(first + i * step)]; };
    for (int64_t i = 0; i < dims[*axis]; ++i) sum += squares ? element(i) * element(i) : std::fabs(element(i));
    const double norm = squares ? std::sqrt(sum) : sum;
    for (int64_t i = 0; i < dims[*axis] && norm != 0; ++i) element(i) /= norm;
  });
  return from_doubles(context, inputs[0].dtype(), dims, x);
}

}  // namespace

const OpDef lp_normalization_op = {
    .name = "LpNormalization", .attributes = k_attributes, .infer = infer, .reference = reference};

}  // namespace octet
