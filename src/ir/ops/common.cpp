#include "ir/ops/common.h"

#include <algorithm>

namespace octet {

Result<ValueTypes> infer_same(const NodeContext& context) { return ValueTypes{{context.dtype(0), context.shape(0)}}; }

Result<ValueTypes> infer_same_float(const NodeContext& context) {
  if (Result<Done> ok = require_float(context, 0); !ok) return ok.error();
  return infer_same(context);
}

Result<ValueTypes> infer_along_axis(const NodeContext& context) {
  if (context.shape(0)) {
    Result<size_t> axis = normalized_axis(context, int_attribute(context.node, "axis", -1), context.shape(0)->size());
    if (!axis) return axis.error();
  }
  return infer_same_float(context);
}

Result<ValueTypes> infer_broadcast(const NodeContext& context) {
  std::optional<Shape> shape = context.shape(0);
  for (size_t i = 1; i < context.input_count(); ++i) {
    if (Result<Done> ok = require_same_dtype(context, 0, i); !ok) return ok.error();
    if (!shape || !context.shape(i)) {
      shape.reset();
      continue;
    }
    Result<Shape> both = broadcast_shapes(context, *shape, *context.shape(i));
    if (!both) return both.error();
    shape = std::move(*both);
  }
  return ValueTypes{{context.dtype(0), std::move(shape)}};
}

Result<Done> require_same_dtype(const NodeContext& context, size_t a, size_t b) {
  if (context.dtype(a) == context.dtype(b)) return Done{};
  return context.error("input " + std::to_string(b) + " is " + std::string(name(context.dtype(b))) + ", expected " +
                       std::string(name(context.dtype(a))) + " as input " + std::to_string(a));
}

Result<Done> require_float(const NodeContext& context, size_t input) {
  if (is_float(context.dtype(input))) return Done{};
  return context.error("input " + std::to_string(input) + " is " + std::string(name(context.dtype(input))) +
                       ", expected a float dtype");
}

Result<Done> require_rank(const NodeContext& context, size_t input, size_t rank) {
  const std::optional<Shape>& shape = context.shape(input);
  if (!shape || shape->size() == rank) return Done{};
  return context.error("input " + std::to_string(input) + " has shape " + to_string(*shape) + ", expected rank " +
                       std::to_string(rank));
}

std::string list_text(std::span<const int64_t> values) {
  std::string text = "[";
  for (size_t i = 0; i < values.size(); ++i) text += (i ? "," : "") + std::to_string(values[i]);
  return text + "]";
}

Result<size_t> normalized_axis(const NodeContext& context, int64_t axis, size_t rank) {
  const auto r = static_cast<int64_t>(rank);
  if (axis >= -r && axis < r) return static_cast<size_t>(axis < 0 ? axis + r : axis);
  return context.error("axis " + std::to_string(axis) + " is out of range for rank " + std::to_string(rank) +
                       ", expected -" + std::to_string(rank) + " to " + std::to_string(r - 1));
}

Result<std::vector<size_t>> normalized_axes(const NodeContext& context, std::span<const int64_t> axes, size_t rank) {
  std::vector<size_t> normalized;
  for (const int64_t axis : axes) {
    Result<size_t> a = normalized_axis(context, axis, rank);
    if (!a) return a.error();
    if (std::find(normalized.begin(), normalized.end(), *a) != normalized.end())
      return context.error("axis " + std::to_string(axis) + " is given twice");
    normalized.push_back(*a);
  }
  return normalized;
}

Result<std::optional<std::vector<int64_t>>> constant_ints(const NodeContext& context, size_t input) {
  const Tensor* tensor = context.constant(input);
  if (!tensor) return std::optional<std::vector<int64_t>>();
  Result<std::vector<int64_t>> values = to_int64s(*tensor);
  if (!values) return context.error("input " + std::to_string(input) + ": " + values.error().message);
  return std::optional(std::move(*values));
}

std::optional<Dim> unified_dim(const Dim& a, const Dim& b) {
  if (a.known() && b.known()) return a.value == b.value ? std::optional(a) : std::nullopt;
  if (a.known()) return a;
  return b.known() || a.symbol.empty() ? b : a;
}

std::optional<Dim> broadcast_dim(const Dim& a, const Dim& b) {
  if (a.known() && b.known()) {
    if (a.value == b.value || b.value == 1) return a;
    if (a.value == 1) return b;
    return std::nullopt;
  }
  if (a.known()) return a.value == 1 ? b : a;  // an unknown extent beside 7 can only be 7 or 1
  if (b.known()) return b.value == 1 ? a : b;
  return a.symbol == b.symbol ? a : Dim();
}

Result<Shape> broadcast_shapes(const NodeContext& context, const Shape& a, const Shape& b) {
  const Shape& longer = a.size() >= b.size() ? a : b;
  const Shape& shorter = a.size() >= b.size() ? b : a;
  Shape out = longer;
  const size_t skip = longer.size() - shorter.size();
  for (size_t i = 0; i < shorter.size(); ++i) {
    std::optional<Dim> d = broadcast_dim(longer[skip + i], shorter[i]);
    if (!d)
      return context.error("shapes " + to_string(a) + " and " + to_string(b) +
                           " do not broadcast: extents must be equal or 1");
    out[skip + i] = std::move(*d);
  }
  return out;
}

Result<Dim> product(const NodeContext& context, std::span<const Dim> dims) {
  Dims known;
  Dim unknown;
  size_t unknowns = 0;
  for (const Dim& d : dims) {
    if (d.known()) {
      known.push_back(d.value);
    } else {
      unknown = d;
      ++unknowns;
    }
  }
  const std::optional<int64_t> count = element_count(known);
  if (!count)
    return context.error("the product of " + to_string(Shape(dims.begin(), dims.end())) + " is more than 2^36");
  if (unknowns == 0 || *count == 0) return Dim(*count);
  return unknowns == 1 && *count == 1 ? unknown : Dim();
}

Result<std::vector<int64_t>> ints_of(const NodeContext& context, std::span<const Tensor> inputs, size_t i) {
  if (!is_present(inputs, i)) return context.error("input " + std::to_string(i) + " is missing, but it is required");
  Result<std::vector<int64_t>> values = to_int64s(inputs[i]);
  if (!values) return context.error("input " + std::to_string(i) + ": " + values.error().message);
  return values;
}

Result<Dims> broadcast_dims(const NodeContext& context, const Dims& a, const Dims& b) {
  Result<Shape> shape = broadcast_shapes(context, to_shape(a), to_shape(b));
  if (!shape) return shape.error();
  Dims dims = known_dims(*shape).value();
  if (!element_count(dims)) return context.error("output " + to_string(dims) + " is too large");
  return dims;
}

std::vector<int64_t> broadcast_strides(std::span<const int64_t> dims, std::span<const int64_t> out) {
  assert(dims.size() <= out.size() && "the shape that is broadcast has no more extents than the result");
  std::vector<int64_t> strides(out.size(), 0);
  const std::vector<int64_t> dense = row_major_strides(dims);
  const size_t skip = out.size() - dims.size();
  for (size_t i = 0; i < dims.size(); ++i) strides[skip + i] = dims[i] == 1 ? 0 : dense[i];
  return strides;
}

Result<Tensor> gather_strided(const Tensor& x, const Dims& out, std::span<const int64_t> strides, int64_t base) {
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(x.dtype(), out);
  if (!made) return made.error();
  const size_t width = size_of(x.dtype());
  const std::byte* from = x.bytes().data();
  std::byte* to = made->second;
  const std::array<std::vector<int64_t>, 1> steps = {std::vector<int64_t>(strides.begin(), strides.end())};
  for_each_index<1>(out, steps, [&](int64_t i, const std::array<int64_t, 1>& at) {
    std::memcpy(to + static_cast<size_t>(i) * width, from + static_cast<size_t>(base + at[0]) * width, width);
  });
  return std::move(made->first);
}

Result<Tensors> single(Result<Tensor> tensor) {
  if (!tensor) return tensor.error();
  return Tensors{std::move(*tensor)};
}

Result<Tensor> map_bytes(const Tensor& x, ElementLoop loop, const void* f) {
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(x.dtype(), x.dims());
  if (!made) return made.error();
  loop(f, x.bytes().data(), made->second, x.size());
  return std::move(made->first);
}

Result<Tensor> map_byte_pairs(const NodeContext& context, const Tensor& a, const Tensor& b, DType out, PairLoop loop,
                              const void* f) {
  Result<Dims> dims = broadcast_dims(context, a.dims(), b.dims());
  if (!dims) return dims.error();
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(out, *dims);
  if (!made) return made.error();
  LineWalk<2> lines(*dims, {broadcast_strides(a.dims(), *dims), broadcast_strides(b.dims(), *dims)});
  loop(f, a.bytes().data(), b.bytes().data(), made->second, lines);
  return std::move(made->first);
}

Result<Tensor> to_f32(const NodeContext& context, const Tensor& x) {
  if (x.dtype() == DType::f32) return x;
  return with_float_type(context, x.dtype(), [&]<class T>(T) -> Result<Tensor> {
    std::vector<float> values;
    values.reserve(static_cast<size_t>(x.size()));
    for (const T& v : x.as<T>()) values.push_back(static_cast<float>(v));
    return f32_tensor(x.dims(), values);
  });
}

}  // namespace octet
