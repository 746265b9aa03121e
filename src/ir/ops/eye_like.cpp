// EyeLike(x): a matrix of x's extents with ones on diagonal k (0: the main one, above it positive) and zeros elsewhere,
// of the attribute's dtype (x's where it is absent). x's elements are not read. Source: ONNX operator EyeLike, opset 9.
#include <algorithm>

#include "ir/ops/common.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"dtype", "k"};

Result<DType> dtype_of(const NodeContext& context, DType input) {
  const std::string word = string_attribute(context.node, "dtype", std::string(name(input)));
  const std::optional<DType> dtype = dtype_from_name(word);
  if (dtype && *dtype != DType::undefined && !is_four_bit(*dtype) && !is_short_float(*dtype)) return *dtype;
  return context.error("attribute 'dtype' is '" + word + "', expected a dtype of floats, integers or bool");
}

Result<ValueTypes> infer(const NodeContext& context) {
  if (Result<Done> ok = require_rank(context, 0, 2); !ok) return ok.error();
  const Result<DType> dtype = dtype_of(context, context.dtype(0));
  if (!dtype) return dtype.error();
  return ValueTypes{{*dtype, context.shape(0) ? context.shape(0) : std::optional(Shape(2))}};
}

/// Ones at y[i, i + k].
template <class T>
void write_ones(T* y, int64_t rows, int64_t columns, int64_t k) {
  for (int64_t i = std::max<int64_t>(-k, 0); i < std::min(rows, columns - k); ++i) y[i * columns + i + k] = T(1);
}

Result<Tensors> reference(const NodeContext& context, std::span<const Tensor> inputs) {
  const Dims& dims = inputs[0].dims();
  if (dims.size() != 2) return context.error("input " + to_string(dims) + " is no matrix");
  const Result<DType> dtype = dtype_of(context, inputs[0].dtype());
  if (!dtype) return dtype.error();
  const int64_t k = std::clamp(int_attribute(context.node, "k", 0), -k_max_elements, k_max_elements);
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(*dtype, dims);
  if (!made) return made.error();
  std::fill_n(made->second, made->first.size_bytes(), std::byte{0});  // zero is all bits zero in every dtype
  if (*dtype == DType::boolean) {
    write_ones(reinterpret_cast<uint8_t*>(made->second), dims[0], dims[1], k);
    return Tensors{std::move(made->first)};
  }
  return with_number_type(context, *dtype, [&]<class T>(T) -> Result<Tensors> {
    write_ones(reinterpret_cast<T*>(made->second), dims[0], dims[1], k);
    return Tensors{std::move(made->first)};
  });
}

}  // namespace

const OpDef eye_like_op = {.name = "EyeLike", .attributes = k_attributes, .infer = infer, .reference = reference};

}  // namespace octet
