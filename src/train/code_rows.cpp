// Compiled with -O3: loops that must become vectors, for the machine that runs them (the clones give the same bits).
#include "train/code_rows.h"

#include <algorithm>
#include <limits>

#if defined(__x86_64__) && !defined(__clang__)  // clang 14 has no clones by architecture level
#define OCTET_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define OCTET_CLONES
#endif

namespace octet::nn {
namespace {

// Adding 1.5 * 2^23 leaves no bits below the integer, so the sum is rounded to nearest, ties to even, and taking it
// away again is exact for |v| <= 2^22. Clamping to integers before rounding gives what clamping after it gives.
constexpr float k_round = 0x1.8p23f;
constexpr size_t k_lanes = 16;

inline float rounded(float v) {
  const float sum = v + k_round;
  return sum - k_round;
}

inline float clamped(float v, float lo, float hi) {
  const float low = v > lo ? v : lo;
  return low < hi ? low : hi;
}

inline bool is_inside(float v, RowCodes c) { return (v >= c.lo) & (v <= c.hi); }

/// The bound outside, else rint(v) - v; at a bound both are that bound's.
inline float slope(float v, RowCodes c) {
  const float code = rounded(clamped(v, c.lo, c.hi));
  return (v > c.lo) & (v < c.hi) ? code - v : code;
}

}  // namespace

OCTET_CLONES void fake_quantize_row(const float* x, size_t n, RowCodes codes, float* y) {
  for (size_t i = 0; i < n; ++i) y[i] = rounded(clamped(x[i] / codes.scale, codes.lo, codes.hi)) * codes.scale;
}

OCTET_CLONES void straight_through_row(const float* dy, const float* x, size_t n, RowCodes codes, float* dx) {
  const float above = codes.rectified ? 0.0f : -std::numeric_limits<float>::infinity();
  for (size_t i = 0; i < n; ++i) dx[i] = is_inside(x[i] / codes.scale, codes) & (x[i] > above) ? dy[i] : 0.0f;
}

OCTET_CLONES float learned_step_row(const float* dy, const float* x, size_t n, RowCodes codes, float* dx) {
  float sums[k_lanes] = {};
  size_t i = 0;
  for (; i + k_lanes <= n; i += k_lanes)
    for (size_t lane = 0; lane < k_lanes; ++lane) {
      const float v = x[i + lane] / codes.scale, g = dy[i + lane];
      dx[i + lane] = is_inside(v, codes) ? g : 0.0f;
      sums[lane] += g * slope(v, codes);
    }
  for (size_t lane = 0; i < n; ++i, ++lane) {
    const float v = x[i] / codes.scale;
    dx[i] = is_inside(v, codes) ? dy[i] : 0.0f;
    sums[lane] += dy[i] * slope(v, codes);
  }
  float sum = 0;
  for (const float lane : sums) sum += lane;
  return sum;
}

}  // namespace octet::nn
