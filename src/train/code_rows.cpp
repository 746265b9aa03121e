// Compiled with -O3: two loops that must become vectors.
#include "train/code_rows.h"

#include <bit>

namespace octet::nn {
namespace {

// Adding 1.5 * 2^23 leaves no bits below the integer, so the sum is rounded to nearest, ties to even, and taking it
// away again is exact for |v| <= 2^22. Clamping to integers before rounding gives what clamping after it gives.
constexpr float k_round = 0x1.8p23f;

inline float rounded(float v) {
  const float sum = v + k_round;
  return sum - k_round;
}

inline float clamped(float v, float lo, float hi) {
  const float low = v > lo ? v : lo;
  return low < hi ? low : hi;
}

}  // namespace

void fake_quantize_row(const float* x, size_t n, float scale, float lo, float hi, float* y, bool* inside) {
  for (size_t i = 0; i < n; ++i) y[i] = rounded(clamped(x[i] / scale, lo, hi)) * scale;
  if (!inside) return;
  auto* bytes = reinterpret_cast<uint8_t*>(inside);
  for (size_t i = 0; i < n; ++i) {
    const float v = x[i] / scale;
    bytes[i] = static_cast<uint8_t>((v >= lo) & (v <= hi));
  }
}

}  // namespace octet::nn
