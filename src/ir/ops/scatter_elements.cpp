// ScatterElements(x, indices, updates; axis, reduction): y = x, but y[.. indices[.. i ..] ..] along axis is replaced by
// (or added to, multiplied with, minimum, maximum with) updates[.. i ..]; of equal indices the last one wins.
// Source: ONNX operator ScatterElements, opset 18.
#include "ir/ops/scatter.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"axis", "reduction"};

Result<ValueTypes> infer(const NodeContext& context) {
  if (context.dtype(1) != DType::s64 && context.dtype(1) != DType::s32)
    return context.error("indices are " + std::string(name(context.dtype(1))) + ", expected s64 or s32");
  if (Result<Done> ok = require_same_dtype(context, 0, 2); !ok) return ok.error();
  if (Result<Reduction> how = reduction_of(context); !how) return how.error();
  const std::optional<Shape>&x = context.shape(0), &indices = context.shape(1), &updates = context.shape(2);
  if (x) {
    if (Result<size_t> axis = normalized_axis(context, int_attribute(context.node, "axis", 0), x->size()); !axis)
      return axis.error();
    if (Result<Done> ok = require_rank(context, 1, x->size()); !ok) return ok.error();
  }
  if (indices && updates) {
    bool equal = indices->size() == updates->size();
    for (size_t d = 0; equal && d < indices->size(); ++d) equal = unified_dim((*indices)[d], (*updates)[d]).has_value();
    if (!equal)
      return context.error("indices " + to_string(*indices) + " and updates " + to_string(*updates) +
                           " differ, expected one shape");
  }
  return infer_same(context);
}

/// The element of x for each index; an Error where one is out of range.
Result<std::vector<int64_t>> targets(const NodeContext& context, std::span<const Tensor> inputs) {
  const Dims &x = inputs[0].dims(), &dims = inputs[1].dims();
  const Result<size_t> axis = normalized_axis(context, int_attribute(context.node, "axis", 0), x.size());
  if (!axis) return axis.error();
  if (dims.size() != x.size() || inputs[2].dims() != dims)
    return context.error("indices " + to_string(dims) + " and updates " + to_string(inputs[2].dims()) +
                         " are not of one shape of the rank of x " + to_string(x));
  if (inputs[1].size() == 0) return std::vector<int64_t>();
  for (size_t d = 0; d < dims.size(); ++d)
    if (d != *axis && dims[d] > x[d])
      return context.error("indices " + to_string(dims) + " are larger than x " + to_string(x));
  Result<std::vector<int64_t>> indices = ints_of(context, inputs, 1);
  if (!indices) return indices.error();
  const int64_t extent = x[*axis];
  for (int64_t& i : *indices) {
    if (i < -extent || i >= extent)
      return context.error("index " + std::to_string(i) + " is out of range for the extent " + std::to_string(extent));
    if (i < 0) i += extent;
  }
  std::vector<int64_t> strides = row_major_strides(x);
  const int64_t along = strides[*axis];
  strides[*axis] = 0;
  for_each_index<1>(dims, std::array{strides}, [&](int64_t i, const std::array<int64_t, 1>& at) {
    int64_t& index = (*indices)[static_cast<size_t>(i)];
    index = at[0] + index * along;
  });
  return indices;
}

Result<Tensors> reference(const NodeContext& context, std::span<const Tensor> inputs) {
  const Result<Reduction> how = reduction_of(context);
  if (!how) return how.error();
  const Result<std::vector<int64_t>> at = targets(context, inputs);
  if (!at) return at.error();
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(inputs[0].dtype(), inputs[0].dims());
  if (!made) return made.error();
  std::copy_n(inputs[0].bytes().data(), inputs[0].size_bytes(), made->second);
  if (*how == Reduction::none) {
    const size_t width = size_of(inputs[0].dtype());
    const std::byte* from = inputs[2].bytes().data();
    for (const int64_t to : *at) {
      std::memcpy(made->second + static_cast<size_t>(to) * width, from, width);
      from += width;
    }
    return Tensors{std::move(made->first)};
  }
  return with_number_type(context, inputs[0].dtype(), [&]<class T>(T) -> Result<Tensors> {
    T* y = reinterpret_cast<T*>(made->second);
    const T* update = inputs[2].as<T>().data();
    for (const int64_t to : *at)
      y[to] = static_cast<T>(combined<T>(static_cast<Wide<T>>(y[to]), static_cast<Wide<T>>(*update++), *how));
    return Tensors{std::move(made->first)};
  });
}

}  // namespace

const OpDef scatter_elements_op = {.name = "ScatterElements",
                                   .min_inputs = 3,
                                   .max_inputs = 3,
                                   .attributes = k_attributes,
                                   .infer = infer,
                                   .reference = reference};

}  // namespace octet
