// GatherND(x, indices; batch_dims) and ScatterND(x, indices, updates; reduction): the last axis of indices holds index
// tuples into x, each naming a slice.
//   GatherND: y = the slices, in the place of the tuples. ScatterND: y = x, the slices replaced by (or added to,
//   multiplied with, minimum, maximum with) updates; of equal tuples the last one wins.
// Source: ONNX operators GatherND, opset 13, and ScatterND, opset 18.
#include <algorithm>

#include "ir/ops/scatter.h"

namespace octet {
namespace {

constexpr std::string_view k_gather_attributes[] = {"batch_dims"};
constexpr std::string_view k_scatter_attributes[] = {"reduction"};

Result<Done> check_indices(const NodeContext& context) {
  if (context.dtype(1) != DType::s64)
    return context.error("indices are " + std::string(name(context.dtype(1))) + ", expected s64");
  if (context.shape(1) && context.shape(1)->empty()) return context.error("indices are a scalar");
  return Done{};
}

template <class D>
std::vector<D> gathered(const std::vector<D>& x, const std::vector<D>& indices, size_t batch, size_t tuple) {
  std::vector<D> y(indices.begin(), indices.end() - 1);
  y.insert(y.end(), x.begin() + static_cast<std::ptrdiff_t>(batch + tuple), x.end());
  return y;
}

Result<size_t> batch_dims(const NodeContext& context, size_t x_rank, size_t index_rank) {
  const int64_t batch = int_attribute(context.node, "batch_dims", 0);
  if (batch >= 0 && batch < static_cast<int64_t>(std::min(x_rank, index_rank))) return static_cast<size_t>(batch);
  return context.error("batch_dims is " + std::to_string(batch) + ", expected less than the ranks of x and indices");
}

Result<ValueTypes> infer_gather(const NodeContext& context) {
  if (Result<Done> ok = check_indices(context); !ok) return ok.error();
  if (!context.shape(0) || !context.shape(1)) return typed(context);
  const Shape &x = *context.shape(0), &indices = *context.shape(1);
  Result<size_t> batch = batch_dims(context, x.size(), indices.size());
  if (!batch) return batch.error();
  if (!indices.back().known()) return typed(context);
  const int64_t tuple = indices.back().value;
  if (tuple < 1 || tuple > static_cast<int64_t>(x.size() - *batch))
    return context.error("indices " + to_string(indices) + " hold tuples that do not fit x " + to_string(x));
  return typed(context, gathered(x, indices, *batch, static_cast<size_t>(tuple)));
}

/// Slices of x that the tuples name.
struct Slices {
  std::vector<int64_t> starts;  // element offsets, in the order of the tuples
  int64_t length = 1;           // elements of a slice
};

Result<Slices> slices_of(const NodeContext& context, std::span<const Tensor> inputs, size_t batch) {
  const Dims &x = inputs[0].dims(), &dims = inputs[1].dims();
  if (dims.empty()) return context.error("indices are a scalar");
  const int64_t tuple = dims.back();
  if (tuple < 0 || tuple > static_cast<int64_t>(x.size() - batch))
    return context.error("indices " + to_string(dims) + " hold tuples that do not fit x " + to_string(x));
  for (size_t d = 0; d < batch; ++d)
    if (x[d] != dims[d])
      return context.error("x " + to_string(x) + " and indices " + to_string(dims) + " differ in a batch extent");
  const std::vector<int64_t> strides = row_major_strides(x);
  Slices made;
  for (size_t d = batch + static_cast<size_t>(tuple); d < x.size(); ++d) made.length *= x[d];
  const std::span<const int64_t> indices = inputs[1].as<int64_t>();
  int64_t per_batch = 1, batch_elements = 1;
  for (size_t d = batch; d + 1 < dims.size(); ++d) per_batch *= dims[d];
  for (size_t d = batch; d < x.size(); ++d) batch_elements *= x[d];
  const int64_t tuples = *element_count(std::span(dims).first(dims.size() - 1));
  for (int64_t t = 0; t < tuples; ++t) {
    int64_t start = batch == 0 ? 0 : t / std::max<int64_t>(per_batch, 1) * batch_elements;
    for (int64_t k = 0; k < tuple; ++k) {
      const size_t axis = batch + static_cast<size_t>(k);
      const int64_t given = indices[static_cast<size_t>(t * tuple + k)];
      const int64_t i = given < 0 ? given + x[axis] : given;
      if (i < 0 || i >= x[axis])
        return context.error("index " + std::to_string(given) + " is out of range for extent " +
                             std::to_string(x[axis]) + " of axis " + std::to_string(axis));
      start += i * strides[axis];
    }
    made.starts.push_back(start);
  }
  return made;
}

Result<Tensors> gather_nd(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<size_t> batch = batch_dims(context, inputs[0].rank(), inputs[1].rank());
  if (!batch) return batch.error();
  Result<Slices> slices = slices_of(context, inputs, *batch);
  if (!slices) return slices.error();
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(
      inputs[0].dtype(),
      gathered(inputs[0].dims(), inputs[1].dims(), *batch, static_cast<size_t>(inputs[1].dims().back())));
  if (!made) return made.error();
  const size_t width = size_of(inputs[0].dtype()), bytes = static_cast<size_t>(slices->length) * width;
  std::byte* to = made->second;
  for (const int64_t start : slices->starts) {
    if (bytes > 0) std::memcpy(to, inputs[0].bytes().data() + static_cast<size_t>(start) * width, bytes);
    to += bytes;
  }
  return Tensors{std::move(made->first)};
}

Result<ValueTypes> infer_scatter(const NodeContext& context) {
  if (Result<Done> ok = check_indices(context); !ok) return ok.error();
  if (Result<Done> ok = require_same_dtype(context, 0, 2); !ok) return ok.error();
  if (Result<Reduction> how = reduction_of(context); !how) return how.error();
  return infer_same(context);
}

Result<Tensors> scatter_nd(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<Reduction> how = reduction_of(context);
  if (!how) return how.error();
  Result<Slices> slices = slices_of(context, inputs, 0);
  if (!slices) return slices.error();
  if (inputs[2].size() != static_cast<int64_t>(slices->starts.size()) * slices->length)
    return context.error("updates " + to_string(inputs[2].dims()) + " do not fill the slices that indices " +
                         to_string(inputs[1].dims()) + " name in " + to_string(inputs[0].dims()));
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(inputs[0].dtype(), inputs[0].dims());
  if (!made) return made.error();
  std::copy_n(inputs[0].bytes().data(), inputs[0].size_bytes(), made->second);
  const size_t width = size_of(inputs[0].dtype()), bytes = static_cast<size_t>(slices->length) * width;
  const std::byte* from = inputs[2].bytes().data();
  if (*how == Reduction::none) {
    for (const int64_t start : slices->starts) {
      if (bytes > 0) std::memcpy(made->second + static_cast<size_t>(start) * width, from, bytes);
      from += bytes;
    }
    return Tensors{std::move(made->first)};
  }
  return with_number_type(context, inputs[0].dtype(), [&]<class T>(T) -> Result<Tensors> {
    T* y = reinterpret_cast<T*>(made->second);
    const T* update = inputs[2].as<T>().data();
    for (const int64_t start : slices->starts)
      for (int64_t i = start; i < start + slices->length; ++i)
        y[i] = static_cast<T>(combined<T>(static_cast<Wide<T>>(y[i]), static_cast<Wide<T>>(*update++), *how));
    return Tensors{std::move(made->first)};
  });
}

}  // namespace

const OpDef gather_nd_op = {.name = "GatherND",
                            .min_inputs = 2,
                            .max_inputs = 2,
                            .attributes = k_gather_attributes,
                            .infer = infer_gather,
                            .reference = gather_nd};
const OpDef scatter_nd_op = {.name = "ScatterND",
                             .min_inputs = 3,
                             .max_inputs = 3,
                             .attributes = k_scatter_attributes,
                             .infer = infer_scatter,
                             .reference = scatter_nd};

}  // namespace octet
