// GatherElements(x, indices): y has indices' extents and y[.. i ..] = x[.. indices[.. i ..] ..] along axis.
// Source: ONNX operator GatherElements, opset 13.
#include "ir/ops/common.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"axis"};

Result<Done> check_indices(const NodeContext& context) {
  if (context.dtype(1) == DType::s64 || context.dtype(1) == DType::s32) return Done{};
  return context.error("indices are " + std::string(name(context.dtype(1))) + ", expected s64 or s32");
}

Result<ValueTypes> infer(const NodeContext& context) {
  if (Result<Done> ok = check_indices(context); !ok) return ok.error();
  if (context.shape(0)) {
    Result<size_t> axis = normalized_axis(context, int_attribute(context.node, "axis", 0), context.shape(0)->size());
    if (!axis) return axis.error();
    if (Result<Done> ok = require_rank(context, 1, context.shape(0)->size()); !ok) return ok.error();
  }
  return typed(context, context.shape(1));
}

Result<Tensors> reference(const NodeContext& context, std::span<const Tensor> inputs) {
  const Tensor& x = inputs[0];
  Result<std::vector<int64_t>> indices = ints_of(context, inputs, 1);
  if (!indices) return indices.error();
  Result<size_t> axis = normalized_axis(context, int_attribute(context.node, "axis", 0), x.rank());
  if (!axis) return axis.error();
  const Dims& dims = inputs[1].dims();
  if (dims.size() != x.rank())
    return context.error("indices " + to_string(dims) + " have another rank than x " + to_string(x.dims()));
  for (size_t d = 0; d < dims.size(); ++d)
    if (d != *axis && dims[d] > x.dims()[d])
      return context.error("indices " + to_string(dims) + " are larger than x " + to_string(x.dims()));
  const int64_t extent = x.dims()[*axis];
  for (int64_t& i : *indices) {
    if (i < -extent || i >= extent)
      return context.error("index " + std::to_string(i) + " is out of range for the extent " + std::to_string(extent));
    if (i < 0) i += extent;
  }
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(x.dtype(), dims);
  if (!made) return made.error();
  const size_t width = size_of(x.dtype());
  std::vector<int64_t> strides = row_major_strides(x.dims());
  const int64_t along = strides[*axis];
  strides[*axis] = 0;
  for_each_index<1>(dims, std::array{strides}, [&](int64_t i, const std::array<int64_t, 1>& at) {
    const int64_t from = at[0] + (*indices)[static_cast<size_t>(i)] * along;
    std::memcpy(made->second + static_cast<size_t>(i) * width, x.bytes().data() + static_cast<size_t>(from) * width,
                width);
  });
  return Tensors{std::move(made->first)};
}

}  // namespace

const OpDef gather_elements_op = {.name = "GatherElements",
                                  .min_inputs = 2,
                                  .max_inputs = 2,
                                  .attributes = k_attributes,
                                  .infer = infer,
                                  .reference = reference};

}  // namespace octet
