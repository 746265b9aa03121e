#include "data/store_sample.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "tensor/half.h"

namespace octet {
namespace {

template <class T>
bool store_whole(std::span<const float> values, std::byte* to) {
  constexpr double k_exact = 0x1p24;
  constexpr double lo = std::max(-k_exact, static_cast<double>(std::numeric_limits<T>::lowest()));
  constexpr double hi = std::min(k_exact, static_cast<double>(std::numeric_limits<T>::max()));
  auto* out = reinterpret_cast<T*>(to);
  for (size_t i = 0; i < values.size(); ++i) {
    const auto v = static_cast<double>(values[i]);
    if (!(v >= lo && v <= hi) || v != std::rint(v)) return false;
    out[i] = static_cast<T>(v);
  }
  return true;
}

template <class T, class F>
bool store_real(std::span<const float> values, std::byte* to, F&& convert) {
  std::transform(values.begin(), values.end(), reinterpret_cast<T*>(to), convert);
  return true;
}

bool store_bool(std::span<const float> values, std::byte* to) {
  if (std::any_of(values.begin(), values.end(), [](float v) { return v != 0.0f && v != 1.0f; })) return false;
  return store_whole<uint8_t>(values, to);
}

}  // namespace

bool takes_samples(DType dtype) {
  switch (dtype) {
    case DType::f32:
    case DType::f64:
    case DType::f16:
    case DType::bf16:
    case DType::s8:
    case DType::u8:
    case DType::s16:
    case DType::u16:
    case DType::s32:
    case DType::u32:
    case DType::s64:
    case DType::u64:
    case DType::boolean: return true;
    default: return false;
  }
}

bool store_sample(std::span<const float> values, DType dtype, std::byte* to) {
  switch (dtype) {
    case DType::f32: return store_real<float>(values, to, [](float v) { return v; });
    case DType::f64: return store_real<double>(values, to, [](float v) { return static_cast<double>(v); });
    case DType::f16: return store_real<uint16_t>(values, to, [](float v) { return float_to_half(v); });
    case DType::bf16: return store_real<uint16_t>(values, to, [](float v) { return float_to_bfloat16(v); });
    case DType::s8: return store_whole<int8_t>(values, to);
    case DType::u8: return store_whole<uint8_t>(values, to);
    case DType::s16: return store_whole<int16_t>(values, to);
    case DType::u16: return store_whole<uint16_t>(values, to);
    case DType::s32: return store_whole<int32_t>(values, to);
    case DType::u32: return store_whole<uint32_t>(values, to);
    case DType::s64: return store_whole<int64_t>(values, to);
    case DType::u64: return store_whole<uint64_t>(values, to);
    case DType::boolean: return store_bool(values, to);
    default: return false;
  }
}

}  // namespace octet
