#pragma once
// The loops of quantizers on the CPU: plain rows of floats with one scale. v = x / scale throughout.

#include <cstddef>
#include <cstdint>

namespace octet::nn {

struct RowCodes {
  float scale = 1, lo = -128, hi = 127;  // codes with the zero point taken out
  bool rectified = false;                // x is what a ReLU was given: only x > 0 has a gradient
};

/// y = clamp(rint(v), lo, hi) * scale. |lo|, |hi| <= 2^22 and whole. NaN becomes lo.
void fake_quantize_row(const float* x, size_t n, RowCodes codes, float* y);
/// The same, and for straight_through_marked: bit i % 8 of inside[i / 8] says whether it passes element i.
void fake_quantize_and_mark(const float* x, size_t n, RowCodes codes, float* y, uint8_t* inside);
/// dx = marked ? dy : 0.
void straight_through_marked(const float* dy, const uint8_t* inside, size_t n, float* dx);
/// dx = lo <= v <= hi ? dy : 0, and rectified: x > 0 too.
void straight_through_row(const float* dy, const float* x, size_t n, RowCodes codes, float* dx);
/// That, and the sum over the row of dy * (v <= lo ? lo : v >= hi ? hi : rint(v) - v), added in 16 lanes.
float learned_step_row(const float* dy, const float* x, size_t n, RowCodes codes, float* dx);

}  // namespace octet::nn
