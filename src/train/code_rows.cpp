// Compiled with -O3: loops that must become vectors, for the machine that runs them (the clones give the same bits).
#include "train/code_rows.h"

#include <bit>
#include <cstring>
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
constexpr size_t k_block = 64;  // elements whose marks are made together

inline float rounded(float v) {
  const float sum = v + k_round;
  return sum - k_round;
}

inline float clamped(float v, float lo, float hi) {
  const float low = v > lo ? v : lo;
  return low < hi ? low : hi;
}

inline bool is_inside(float v, RowCodes c) { return (v >= c.lo) & (v <= c.hi); }

/// What x has to be above for its gradient.
inline float bound_below(RowCodes c) { return c.rectified ? 0.0f : -std::numeric_limits<float>::infinity(); }

/// Eight bytes of 0 or 1 as eight bits, the first the lowest: the product moves byte i to bit 56 + i, and nothing else
/// reaches the top byte.
inline uint8_t packed(const uint8_t* flags) {
  uint64_t word = 0;
  std::memcpy(&word, flags, sizeof word);
  return static_cast<uint8_t>(word * 0x0102040810204080u >> 56);
}

/// A block of n <= k_block elements of fake_quantize_and_mark.
inline void mark_block(const float* x, size_t n, RowCodes codes, float above, float* y, uint8_t* inside) {
  uint8_t flags[k_block] = {};
  float v[k_block];
  for (size_t i = 0; i < n; ++i) v[i] = x[i] / codes.scale;
  for (size_t i = 0; i < n; ++i) flags[i] = (is_inside(v[i], codes) & (x[i] > above)) ? 1 : 0;
  for (size_t i = 0; i < n; ++i) y[i] = rounded(clamped(v[i], codes.lo, codes.hi)) * codes.scale;
  for (size_t i = 0; i < n; i += 8) inside[i / 8] = packed(flags + i);
}

/// The bound outside, else rint(v) - v; at a bound both are that bound's.
inline float slope(float v, RowCodes c) {
  const float code = rounded(clamped(v, c.lo, c.hi));
  return ((v > c.lo) & (v < c.hi)) ? code - v : code;
}

}  // namespace

OCTET_CLONES void fake_quantize_row(const float* x, size_t n, RowCodes codes, float* y) {
  for (size_t i = 0; i < n; ++i) y[i] = rounded(clamped(x[i] / codes.scale, codes.lo, codes.hi)) * codes.scale;
}

OCTET_CLONES void fake_quantize_and_mark(const float* x, size_t n, RowCodes codes, float* y, uint8_t* inside) {
  const float above = bound_below(codes);
  size_t i = 0;
  for (; i + k_block <= n; i += k_block) mark_block(x + i, k_block, codes, above, y + i, inside + i / 8);
  if (i < n) mark_block(x + i, n - i, codes, above, y + i, inside + i / 8);
}

OCTET_CLONES void straight_through_marked(const float* dy, const uint8_t* inside, size_t n, float* dx) {
  size_t i = 0;
  for (; i + k_lanes <= n; i += k_lanes) {
    const uint32_t marks = inside[i / 8] | static_cast<uint32_t>(inside[i / 8 + 1]) << 8;
    for (size_t lane = 0; lane < k_lanes; ++lane) {
      const uint32_t all = 0u - (marks >> lane & 1u);
      dx[i + lane] = std::bit_cast<float>(std::bit_cast<uint32_t>(dy[i + lane]) & all);
    }
  }
  for (; i < n; ++i) dx[i] = inside[i / 8] >> i % 8 & 1 ? dy[i] : 0.0f;
}

OCTET_CLONES void straight_through_row(const float* dy, const float* x, size_t n, RowCodes codes, float* dx) {
  const float above = bound_below(codes);
  for (size_t i = 0; i < n; ++i) dx[i] = (is_inside(x[i] / codes.scale, codes) & (x[i] > above)) ? dy[i] : 0.0f;
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
