// The judge of the row family: one element at a time, the formulas of docs/numerics.md as they stand there.

#include <algorithm>
#include <bit>
#include <cmath>

#include "quant/rows/rows_isa.h"
#include "tensor/half.h"

namespace octet {
namespace {

/// std::clamp has no word on NaN; here it passes.
float clamped(float x, float lo, float hi) { return std::isnan(x) ? x : std::min(std::max(x, lo), hi); }

void quantize(const float* x, size_t n, const float* s, bool each, float lo, float hi, float* y) {
  for (size_t i = 0; i < n; ++i) y[i] = clamped(std::nearbyint(x[i] * s[each ? i : 0]), lo, hi);
}

void fake_quantize(const float* x, size_t n, const float* s, const float* d, bool each, float lo, float hi, float* y) {
  for (size_t i = 0; i < n; ++i) {
    y[i] = clamped(std::nearbyint(x[i] * s[each ? i : 0]), lo, hi) / d[each ? i : 0];
  }
}

void pass_within(const float* x, const float* dy, size_t n, const float* lo, const float* hi, bool each, float* y) {
  for (size_t i = 0; i < n; ++i) y[i] = x[i] >= lo[each ? i : 0] && x[i] <= hi[each ? i : 0] ? dy[i] : 0.0f;
}

void clip(const float* x, size_t n, const float* lo, const float* hi, bool each, float* y) {
  for (size_t i = 0; i < n; ++i) {
    y[i] = std::isnan(x[i]) ? x[i] : std::max(std::min(x[i], hi[each ? i : 0]), lo[each ? i : 0]);
  }
}

void affine(const float* x, size_t n, float step, float zero, float lo, float hi, float* y) {
  for (size_t i = 0; i < n; ++i) y[i] = (clamped(std::nearbyint(x[i] / step) - zero, lo, hi) + zero) * step;
}

/// Nearest value of the E4M3FN set, ties to an even significand; beyond +-448 saturates, NaN stays NaN.
float e4m3_of(float v) {
  if (std::isnan(v)) return v;
  const float magnitude = std::min(std::abs(v), 448.0f);
  int exponent = 0;
  std::frexp(magnitude, &exponent);                 // magnitude = fraction * 2^exponent, fraction >= 1/2
  const int step = std::max(exponent - 1, -6) - 3;  // 3 bits after the leading one; subnormals at 2^-9
  return std::copysign(std::ldexp(std::nearbyint(std::ldexp(magnitude, -step)), step), v);
}

void e4m3(const float* x, size_t n, const float* s, bool each, float* y) {
  for (size_t i = 0; i < n; ++i) {
    const float scale = s ? s[each ? i : 0] : 1.0f;
    const float value = s ? e4m3_of(x[i] * scale) / scale : e4m3_of(x[i]);
    y[i] = std::abs(x[i]) < 0x1p-24f ? 0.0f : value;
  }
}

uint32_t abs_max(const float* x, size_t n) {
  uint32_t most = 0;
  for (size_t i = 0; i < n; ++i) most = std::max(most, std::bit_cast<uint32_t>(x[i]) & 0x7fffffffu);
  return most;
}

bool any_negative(const float* x, size_t n) {
  return std::any_of(x, x + n, [](float v) { return v < 0; });
}

void from_f16(const uint16_t* x, size_t n, float* y) { std::transform(x, x + n, y, half_to_float); }
void from_bf16(const uint16_t* x, size_t n, float* y) { std::transform(x, x + n, y, bfloat16_to_float); }
void to_f16(const float* x, size_t n, uint16_t* y) { std::transform(x, x + n, y, float_to_half); }
void to_bf16(const float* x, size_t n, uint16_t* y) { std::transform(x, x + n, y, float_to_bfloat16); }

template <class Code>
void to_code(const float* x, size_t n, Code* y) {
  for (size_t i = 0; i < n; ++i) y[i] = std::isnan(x[i]) ? Code{0} : static_cast<Code>(x[i]);
}

}  // namespace

const QuantRows quant_rows_scalar = {quantize,         fake_quantize,
                                     pass_within,      clip,
                                     affine,           e4m3,
                                     abs_max,          any_negative,
                                     from_f16,         from_bf16,
                                     to_f16,           to_bf16,
                                     to_code<int8_t>,  to_code<uint8_t>,
                                     to_code<int16_t>, to_code<uint16_t>,
                                     "scalar"};

}  // namespace octet
