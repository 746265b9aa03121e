#pragma once
// Rows of fake quantization by ONNX's formula, plain loops that the compiler makes vectors of. No libtorch here.

#include <cstddef>
#include <cstdint>

namespace octet::nn {

/// y[i] = clamp(rint(x[i] / scale), lo, hi) * scale; inside[i] = lo <= x[i] / scale <= hi, unless null. NaN gives lo,
/// and is outside. -2^22 <= lo <= hi <= 2^22.
void fake_quantize_row(const float* x, size_t n, float scale, float lo, float hi, float* y, bool* inside);

}  // namespace octet::nn
