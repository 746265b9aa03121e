#pragma once
// Loops around the products, left to the compiler's vectorizer under each ISA's flags. For one ISA file only:
// everything is in an unnamed namespace.
#include <stdint.h>

namespace octet {
namespace {

void centre_row(const uint8_t* codes, int64_t n, int32_t zero_point, int16_t* to) {
  const auto zero = static_cast<int16_t>(zero_point);
  for (int64_t i = 0; i < n; ++i) to[i] = static_cast<int16_t>(codes[i] - zero);
}

void centre_pair(const uint8_t* even, const uint8_t* odd, int32_t zero_point, int16_t* to) {
  const auto zero = static_cast<int16_t>(zero_point);
  for (int64_t j = 0; j < 16; ++j) {
    to[2 * j] = static_cast<int16_t>(even[j] - zero);
    to[2 * j + 1] = static_cast<int16_t>(odd[j] - zero);
  }
}

void scale_row(const int32_t* sums, int64_t n, float multiplier, float* v) {
  for (int64_t j = 0; j < n; ++j) v[j] = static_cast<float>(sums[j]) * multiplier;
}

}  // namespace
}  // namespace octet
