// Range(start, limit, delta): start, start + delta, ... as long as limit is not reached; max(ceil((limit - start) /
// delta), 0) elements. Source: ONNX operator Range, opset 11.
#include "ir/ops/common.h"

namespace octet {
namespace {

template <class T>
Result<int64_t> count_of(const NodeContext& context, T start, T limit, T delta) {
  if (delta == T{0}) return context.error("delta is 0");
  const Error too_many = context.error("would have more than 2^36 elements");
  if constexpr (std::is_floating_point_v<T>) {
    const double count = std::ceil((static_cast<double>(limit) - start) / delta);
    if (!(count <= static_cast<double>(k_max_elements))) return too_many;  // also NaN
    return count > 0 ? static_cast<int64_t>(count) : 0;
  } else {
    if (delta > 0 ? limit <= start : limit >= start) return int64_t{0};
    // Distances as unsigned numbers: a difference of two s64 may need 64 bits.
    const auto low = static_cast<uint64_t>(delta > 0 ? start : limit),
               high = static_cast<uint64_t>(delta > 0 ? limit : start);
    const uint64_t step = delta > 0 ? static_cast<uint64_t>(delta) : uint64_t{0} - static_cast<uint64_t>(delta);
    const uint64_t count = (high - low - 1) / step + 1;
    if (count > static_cast<uint64_t>(k_max_elements)) return too_many;
    return static_cast<int64_t>(count);
  }
}

template <class F>
auto with_range_type(const NodeContext& context, DType dtype, F f) -> decltype(f(float{})) {
  switch (dtype) {
    case DType::f32: return f(float{});
    case DType::f64: return f(double{});
    case DType::s16: return f(int16_t{});
    case DType::s32: return f(int32_t{});
    case DType::s64: return f(int64_t{});
    default: return context.error("is not defined for " + std::string(name(dtype)), ErrorCode::unsupported);
  }
}

Result<Tensor> range_of(const NodeContext& context, const Tensor& start, const Tensor& limit, const Tensor& delta) {
  if (start.size() != 1 || limit.size() != 1 || delta.size() != 1)
    return context.error("start, limit and delta must be scalars");
  if (limit.dtype() != start.dtype() || delta.dtype() != start.dtype())
    return context.error("start, limit and delta must be of one dtype");
  return with_range_type(context, start.dtype(), [&]<class T>(T) -> Result<Tensor> {
    const T first = start.at<T>(0), step = delta.at<T>(0);
    Result<int64_t> count = count_of(context, first, limit.at<T>(0), step);
    if (!count) return count.error();
    Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(start.dtype(), {*count});
    if (!made) return made.error();
    T* y = reinterpret_cast<T*>(made->second);
    for (int64_t i = 0; i < *count; ++i) {
      if constexpr (std::is_floating_point_v<T>) {
        y[i] = first + static_cast<T>(i) * step;
      } else {
        // Elements lie between start and limit, so the wrapped product and sum are the true value.
        y[i] = static_cast<T>(static_cast<uint64_t>(first) + static_cast<uint64_t>(i) * static_cast<uint64_t>(step));
      }
    }
    return std::move(made->first);
  });
}

Result<ValueTypes> infer(const NodeContext& context) {
  for (size_t i = 1; i < 3; ++i)
    if (Result<Done> ok = require_same_dtype(context, 0, i); !ok) return ok.error();
  const Tensor *start = context.constant(0), *limit = context.constant(1), *delta = context.constant(2);
  if (!start || !limit || !delta) return typed(context, Shape(1));
  if (start->size() != 1 || limit->size() != 1 || delta->size() != 1)
    return context.error("start, limit and delta must be scalars");
  Result<int64_t> count = with_range_type(context, start->dtype(), [&]<class T>(T) -> Result<int64_t> {
    return count_of(context, start->at<T>(0), limit->at<T>(0), delta->at<T>(0));
  });
  if (!count) return count.error();
  return typed(context, Shape{Dim(*count)});
}

Result<Tensors> range(const NodeContext& context, std::span<const Tensor> inputs) {
  return single(range_of(context, inputs[0], inputs[1], inputs[2]));
}

}  // namespace

const OpDef range_op = {.name = "Range", .min_inputs = 3, .max_inputs = 3, .infer = infer, .reference = range};

}  // namespace octet
