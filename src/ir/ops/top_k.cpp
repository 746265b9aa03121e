// TopK(x, k) -> values, indices (s64): the k largest (or smallest) elements along axis, best first; of equal ones the
// lower index comes first. NaN counts as the largest. sorted=0 leaves the order open; octet sorts even so.
// Source: ONNX operator TopK, opset 11.
#include <algorithm>
#include <functional>
#include <numeric>

#include "ir/ops/common.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"axis", "largest", "sorted"};

Result<size_t> axis_of(const NodeContext& context, size_t rank) {
  return normalized_axis(context, int_attribute(context.node, "axis", -1), rank);
}

Result<Done> check_count(const NodeContext& context, int64_t k, int64_t extent) {
  if (k >= 0 && k <= extent) return Done{};
  return context.error("k is " + std::to_string(k) + ", but the axis has " + std::to_string(extent) + " elements");
}

Result<ValueTypes> infer(const NodeContext& context) {
  if (context.dtype(0) == DType::boolean) return context.error("is not defined for bool");
  Result<std::optional<std::vector<int64_t>>> k = constant_ints(context, 1);
  if (!k) return k.error();
  if (*k && (*k)->size() != 1) return context.error("k must be one number");
  if (!context.shape(0)) return ValueTypes{{context.dtype(0), {}}, {DType::s64, {}}};
  Shape y = *context.shape(0);
  Result<size_t> axis = axis_of(context, y.size());
  if (!axis) return axis.error();
  if (*k && y[*axis].known())
    if (Result<Done> ok = check_count(context, (*k)->front(), y[*axis].value); !ok) return ok.error();
  y[*axis] = *k && (*k)->front() >= 0 ? Dim((*k)->front()) : Dim();
  return ValueTypes{{context.dtype(0), y}, {DType::s64, y}};
}

/// Is element a better than element b; by value only.
using Better = std::function<bool(int64_t a, int64_t b)>;

Result<Better> better_of(const NodeContext& context, const Tensor& x, bool largest) {
  return with_number_type(context, x.dtype(), [&]<class T>(T) -> Result<Better> {
    return Better([v = x.as<T>(), largest](int64_t a, int64_t b) {
      const auto p = static_cast<Wide<T>>(v[static_cast<size_t>(a)]),
                 q = static_cast<Wide<T>>(v[static_cast<size_t>(b)]);
      if (p != p || q != q) return largest ? p != p && q == q : p == p && q != q;
      return largest ? p > q : p < q;
    });
  });
}

Result<Tensors> reference(const NodeContext& context, std::span<const Tensor> inputs) {
  const Tensor& x = inputs[0];
  Result<size_t> axis = axis_of(context, x.rank());
  if (!axis) return axis.error();
  Result<std::vector<int64_t>> given = ints_of(context, inputs, 1);
  if (!given) return given.error();
  if (given->size() != 1) return context.error("k must be one number");
  const int64_t k = given->front(), n = x.dims()[*axis], step = row_major_strides(x.dims())[*axis];
  if (Result<Done> ok = check_count(context, k, n); !ok) return ok.error();
  Result<Better> better = better_of(context, x, int_attribute(context.node, "largest", 1) != 0);
  if (!better) return better.error();
  Dims dims = x.dims();
  dims[*axis] = k;
  Result<std::pair<Tensor, std::byte*>> values = Tensor::allocate(x.dtype(), dims);
  if (!values) return values.error();
  std::vector<int64_t> indices(static_cast<size_t>(values->first.size()));
  const size_t width = size_of(x.dtype());
  std::vector<int64_t> order(static_cast<size_t>(n));
  for (int64_t line = 0; n > 0 && line < x.size() / n; ++line) {
    const int64_t from = line / step * n * step + line % step, to = line / step * k * step + line % step;
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int64_t a, int64_t b) { return (*better)(from + a * step, from + b * step); });
    for (int64_t i = 0; i < k; ++i) {
      const int64_t best = order[static_cast<size_t>(i)];
      indices[static_cast<size_t>(to + i * step)] = best;
      std::memcpy(values->second + static_cast<size_t>(to + i * step) * width,
                  x.bytes().data() + static_cast<size_t>(from + best * step) * width, width);
    }
  }
  return Tensors{std::move(values->first), s64_tensor(dims, indices)};
}

}  // namespace

const OpDef top_k_op = {.name = "TopK",
                        .min_inputs = 2,
                        .max_inputs = 2,
                        .outputs_min = 1,
                        .outputs_max = 2,
                        .keeps_outputs = true,
                        .attributes = k_attributes,
                        .infer = infer,
                        .reference = reference};

}  // namespace octet
