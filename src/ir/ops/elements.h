#pragma once
// Elements of a tensor in reference kernels: loops over strided ones, C++ types of dtypes.

#include <array>
#include <cmath>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

#include "ir/op.h"
#include "tensor/half.h"

namespace octet {

/// Visits the elements of dims in row-major order, a line at a time: line() elements, the first at the element offsets
/// at(), each step() after the one before. Extents that lie one behind the other under all K strides are one line.
template <size_t K>
class LineWalk {
 public:
  using Offsets = std::array<int64_t, K>;
  /// dims: checked by whoever made the tensors; strides: in elements, one per extent.
  LineWalk(std::span<const int64_t> dims, const std::array<std::vector<int64_t>, K>& strides);

  bool done() const { return lines_left_ == 0; }
  void next();
  int64_t line() const { return line_; }
  const Offsets& at() const { return at_; }
  const Offsets& step() const { return step_; }

 private:
  struct Axis {
    int64_t extent, index;
    Offsets strides;
  };
  std::vector<Axis> outer_;  // the innermost first
  int64_t line_ = 1, lines_left_ = 1;
  Offsets at_{}, step_{};
};

/// Calls body(i, offsets) for i = 0, 1, ... over dims in row-major order; offsets[k] is the element offset by
/// strides[k].
template <size_t K, class F>
void for_each_index(std::span<const int64_t> dims, const std::array<std::vector<int64_t>, K>& strides, F body) {
  int64_t i = 0;
  for (LineWalk<K> walk(dims, strides); !walk.done(); walk.next()) {
    std::array<int64_t, K> at = walk.at();
    for (const int64_t end = i + walk.line(); i < end; ++i) {
      body(i, at);
      for (size_t k = 0; k < K; ++k) at[k] += walk.step()[k];
    }
  }
}

/// f16 and bf16 elements that compute as float and round once when stored.
struct Half {
  uint16_t bits = 0;
  Half() = default;
  explicit Half(float x) : bits(float_to_half(x)) {}
  operator float() const { return half_to_float(bits); }
};
struct BFloat16 {
  uint16_t bits = 0;
  BFloat16() = default;
  explicit BFloat16(float x) : bits(float_to_bfloat16(x)) {}
  operator float() const { return bfloat16_to_float(bits); }
};
template <class T>
inline constexpr bool k_is_short_float = std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>;
/// The type to compute in: float for f16 and bf16, else the element's own.
template <class T>
using Wide = std::conditional_t<k_is_short_float<T>, float, T>;

/// x as To: integers wrap around; floats round once, or truncate to an integer, where what does not fit saturates and
/// NaN is 0.
template <class To, class From>
To converted(From x) {
  if constexpr (k_is_short_float<To>) {
    return To(static_cast<float>(x));
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    // 2^digits is exact in double, the largest integer itself may not be.
    const double limit = std::ldexp(1.0, std::numeric_limits<To>::digits);
    if (std::isnan(x)) return To{0};
    if (x >= limit) return std::numeric_limits<To>::max();
    if (x <= static_cast<double>(std::numeric_limits<To>::lowest())) return std::numeric_limits<To>::lowest();
    return static_cast<To>(x);
  } else {
    return static_cast<To>(x);
  }
}

Error undefined_for(const NodeContext& context, DType dtype);  // "is not defined for bool"

/// Calls f(T{}) with the C++ element type of a float dtype; an Error for another one. f returns Result<R>.
template <class F>
auto with_float_type(const NodeContext& context, DType dtype, F f) -> decltype(f(float{})) {
  switch (dtype) {
    case DType::f32: return f(float{});
    case DType::f64: return f(double{});
    case DType::f16: return f(Half{});
    case DType::bf16: return f(BFloat16{});
    default: return undefined_for(context, dtype);
  }
}
/// The same for all numbers; boolean is refused.
template <class F>
auto with_number_type(const NodeContext& context, DType dtype, F f) -> decltype(f(float{})) {
  switch (dtype) {
    case DType::s8: return f(int8_t{});
    case DType::u8: return f(uint8_t{});
    case DType::s16: return f(int16_t{});
    case DType::u16: return f(uint16_t{});
    case DType::s32: return f(int32_t{});
    case DType::u32: return f(uint32_t{});
    case DType::s64: return f(int64_t{});
    case DType::u64: return f(uint64_t{});
    default: return with_float_type(context, dtype, f);
  }
}

}  // namespace octet
