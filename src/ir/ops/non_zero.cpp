// NonZero(x): s64 [rank, count], the indices of all elements that are not zero, in row-major order; a scalar counts as
// [1]. The count depends on data. Source: ONNX operator NonZero, opset 13.
#include <algorithm>

#include "ir/ops/common.h"

namespace octet {
namespace {

Result<ValueTypes> infer(const NodeContext& context) {
  if (!context.shape(0)) return ValueTypes{{DType::s64, Shape(2)}};
  return ValueTypes{
      {DType::s64, Shape{Dim(std::max<int64_t>(1, static_cast<int64_t>(context.shape(0)->size()))), Dim()}}};
}

Result<Tensors> reference(const NodeContext&, std::span<const Tensor> inputs) {
  const std::vector<double> x = to_doubles(inputs[0]);
  const Dims dims = inputs[0].rank() == 0 ? Dims{1} : inputs[0].dims();
  const std::vector<int64_t> strides = row_major_strides(dims);
  std::vector<int64_t> found;
  for (size_t i = 0; i < x.size(); ++i)
    if (x[i] != 0) found.push_back(static_cast<int64_t>(i));
  std::vector<int64_t> y;
  for (size_t d = 0; d < dims.size(); ++d)
    for (const int64_t i : found) y.push_back(i / strides[d] % dims[d]);
  return Tensors{s64_tensor({static_cast<int64_t>(dims.size()), static_cast<int64_t>(found.size())}, y)};
}

}  // namespace

const OpDef non_zero_op = {.name = "NonZero", .infer = infer, .reference = reference};

}  // namespace octet
