// Transpose: y's axis i is x's axis perm[i]; without perm the axes are reversed. Source: ONNX operator Transpose,
// opset 13.
#include "ir/ops/common.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"perm"};

Result<std::vector<size_t>> permutation(const NodeContext& context, size_t rank) {
  if (!has_attribute(context.node, "perm")) {
    std::vector<size_t> reversed;
    for (size_t i = rank; i-- > 0;) reversed.push_back(i);
    return reversed;
  }
  const std::vector<int64_t> perm = ints_attribute(context.node, "perm", {});
  if (perm.size() != rank)
    return context.error("perm " + list_text(perm) + " has " + std::to_string(perm.size()) +
                         " axes, but the input has rank " + std::to_string(rank));
  for (const int64_t p : perm)
    if (p < 0) return context.error("perm " + list_text(perm) + " has a negative axis");
  return normalized_axes(context, perm, rank);
}

Result<ValueTypes> infer(const NodeContext& context) {
  const std::optional<Shape>& x = context.shape(0);
  if (!x) return typed(context);
  Result<std::vector<size_t>> perm = permutation(context, x->size());
  if (!perm) return perm.error();
  Shape out;
  for (const size_t p : *perm) out.push_back((*x)[p]);
  return typed(context, std::move(out));
}

Result<Tensors> transpose(const NodeContext& context, std::span<const Tensor> inputs) {
  const Dims& dims = inputs[0].dims();
  Result<std::vector<size_t>> perm = permutation(context, dims.size());
  if (!perm) return perm.error();
  const std::vector<int64_t> dense = row_major_strides(dims);
  Dims out;
  std::vector<int64_t> strides;
  for (const size_t p : *perm) {
    out.push_back(dims[p]);
    strides.push_back(dense[p]);
  }
  return single(gather_strided(inputs[0], out, strides));
}

}  // namespace

const OpDef transpose_op = {
    .name = "Transpose",
    .attributes = k_attributes,
    .infer = infer,
    .reference = transpose,
    .quant = {.role = QuantRole::same_scale},
};

}  // namespace octet
