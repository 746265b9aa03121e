#pragma once
// Elements of a tensor in reference kernels: loops over strided ones, C++ types of dtypes.

#include <array>
#include <cassert>
#include <optional>
#include <span>
#include <type_traits>
#include <vector>

#include "ir/op.h"
#include "tensor/half.h"

namespace octet {

/// Calls body(i, offsets) for i = 0, 1, ... over dims in row-major order; offsets[k] is the element offset by
/// strides[k].
template <size_t K, class F>
void for_each_index(std::span<const int64_t> dims, const std::array<std::vector<int64_t>, K>& strides, F body) {
  const std::optional<int64_t> count = element_count(dims);
  assert(count && "dims were checked by whoever made the tensors");
  std::vector<int64_t> index(dims.size(), 0);
  std::array<int64_t, K> offsets{};
  for (int64_t i = 0; i < *count; ++i) {
    body(i, offsets);
    for (size_t d = dims.size(); d-- > 0;) {
      if (++index[d] < dims[d]) {
        for (size_t k = 0; k < K; ++k) offsets[k] += strides[k][d];
        break;
      }
      for (size_t k = 0; k < K; ++k) offsets[k] -= strides[k][d] * (dims[d] - 1);
      index[d] = 0;
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

/// Calls f(T{}) with the C++ element type of a float dtype; an Error for another one. f returns Result<R>.
template <class F>
auto with_float_type(const NodeContext& context, DType dtype, F f) -> decltype(f(float{})) {
  switch (dtype) {
    case DType::f32: return f(float{});
    case DType::f64: return f(double{});
    case DType::f16: return f(Half{});
    case DType::bf16: return f(BFloat16{});
    default: return context.error("is not defined for " + std::string(name(dtype)), ErrorCode::unsupported);
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
