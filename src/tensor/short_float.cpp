#include "tensor/short_float.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <limits>
#include <vector>

namespace octet {
namespace {

struct Form {
  DType dtype;
  int exponent_bits, fraction_bits, bias;
  uint8_t largest;  // code of the largest finite value
  bool has_infinity, has_nan;
  bool is_unsigned_zero;  // "uz": 0x80 is NaN, there is no negative zero

  int bits() const { return 1 + exponent_bits + fraction_bits; }
  uint8_t sign() const { return static_cast<uint8_t>(1u << (bits() - 1)); }
};
constexpr std::array<Form, 5> k_forms = {{
    {DType::f8e4m3fn, 4, 3, 7, 0x7e, false, true, false},
    {DType::f8e4m3fnuz, 4, 3, 8, 0x7f, false, true, true},
    {DType::f8e5m2, 5, 2, 15, 0x7b, true, true, false},
    {DType::f8e5m2fnuz, 5, 2, 16, 0x7f, false, true, true},
    {DType::f4e2m1, 2, 1, 1, 0x7, false, false, false},
}};

const Form& form_of(DType dtype) {
  assert(is_short_float(dtype));
  return k_forms[static_cast<size_t>(dtype) - static_cast<size_t>(DType::f8e4m3fn)];
}

/// The value of a code without sign, at most `largest` or the one that would follow it.
float magnitude(const Form& form, unsigned code) {
  const auto fraction = static_cast<float>(code & ((1u << form.fraction_bits) - 1));
  const int exponent = static_cast<int>(code >> form.fraction_bits);
  const float one = std::ldexp(1.0f, form.fraction_bits);
  if (exponent == 0) return std::ldexp(fraction / one, 1 - form.bias);
  return std::ldexp(1.0f + fraction / one, exponent - form.bias);
}

constexpr float k_nan = std::numeric_limits<float>::quiet_NaN();

}  // namespace

float short_float_value(DType dtype, uint8_t code) {
  const Form& form = form_of(dtype);
  const bool negative = (code & form.sign()) != 0;
  const unsigned rest = code & (form.sign() - 1u);
  if (form.is_unsigned_zero && negative && rest == 0) return k_nan;
  if (rest > form.largest) {
    if (!form.has_infinity || rest != form.largest + 1u) return k_nan;
    return negative ? -std::numeric_limits<float>::infinity() : std::numeric_limits<float>::infinity();
  }
  const float value = magnitude(form, rest);
  return negative ? -value : value;
}

uint8_t short_float_code(DType dtype, float value, bool saturate) {
  const Form& form = form_of(dtype);
  const uint8_t sign = std::signbit(value) ? form.sign() : uint8_t{0};
  const uint8_t nan = form.is_unsigned_zero ? uint8_t{0x80} : static_cast<uint8_t>(sign | 0x7f);
  if (std::isnan(value)) return form.has_nan ? nan : form.largest;
  const float x = std::fabs(value);
  // Codes without sign are in the order of their values: the first that is not below x, or the one before it.
  unsigned low = 0, high = form.largest + 1u;
  while (low < high) {
    const unsigned middle = (low + high) / 2;
    if (magnitude(form, middle) < x) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  unsigned code = low;
  if (code > 0 && !std::isinf(x)) {
    const float below = x - magnitude(form, code - 1), above = magnitude(form, code) - x;
    if (below < above || (below == above && (code & 1) != 0)) --code;
  }
  if (code > form.largest) {
    if (saturate || !form.has_nan) return static_cast<uint8_t>(sign | form.largest);
    return form.has_infinity ? static_cast<uint8_t>(sign | (form.largest + 1u)) : nan;
  }
  if (form.is_unsigned_zero && code == 0) return 0;
  return static_cast<uint8_t>(sign | code);
}

}  // namespace octet
