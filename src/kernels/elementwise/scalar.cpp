// The judge of the element-wise family: one element at a time, the formula as written in src/ir/ops/README.md.

#include <cmath>

#include "kernels/elementwise/elementwise_isa.h"
#include "kernels/scalar_inline.h"

namespace octet {
namespace {

void add_u8(const uint8_t* a, const uint8_t* b, size_t n, const AddU8Params& p, uint8_t* y) {
  for (size_t i = 0; i < n; ++i) {
    const float second = static_cast<float>(b[i] - p.b_zero_point) * p.b_multiplier;
    const float sum = std::fma(static_cast<float>(a[i] - p.a_zero_point), p.a_multiplier, second);
    y[i] = code_from_f32(sum, p.y_zero_point, p.lo, p.hi);
  }
}

void add_constant_u8(const uint8_t* a, const float* b, size_t n, const AddU8Params& p, uint8_t* y) {
  for (size_t i = 0; i < n; ++i) {
    const float sum = std::fma(static_cast<float>(a[i] - p.a_zero_point), p.a_multiplier, b[i]);
    y[i] = code_from_f32(sum, p.y_zero_point, p.lo, p.hi);
  }
}

void mul_u8(const uint8_t* a, const uint8_t* b, size_t n, const MulU8Params& p, uint8_t* y) {
  for (size_t i = 0; i < n; ++i) {
    const int32_t product = (a[i] - p.a_zero_point) * (b[i] - p.b_zero_point);
    y[i] = code_from_f32(static_cast<float>(product) * p.multiplier, p.y_zero_point, p.lo, p.hi);
  }
}

void lookup_u8(const uint8_t* x, size_t n, const uint8_t* table, uint8_t* y) {
  for (size_t i = 0; i < n; ++i) y[i] = table[x[i]];
}

void add_f32(const float* a, const float* b, size_t n, float* y) {
  for (size_t i = 0; i < n; ++i) y[i] = a[i] + b[i];
}

void mul_f32(const float* a, const float* b, size_t n, float* y) {
  for (size_t i = 0; i < n; ++i) y[i] = a[i] * b[i];
}

void prelu_f32(const float* a, const float* b, size_t n, float* y) {
  for (size_t i = 0; i < n; ++i) y[i] = a[i] < 0 ? a[i] * b[i] : a[i];
}

void mix_f32(const float* const* x, const float* w, int rows, size_t n, float* y) {
  for (size_t i = 0; i < n; ++i) {
    float sum = x[0][i] * w[0];
    for (int r = 1; r < rows; ++r) sum += x[r][i] * w[r];
    y[i] = sum;
  }
}

void quantize_f32(const float* x, size_t n, float scale, int32_t zero_point, int32_t lo, int32_t hi, uint8_t* q) {
  for (size_t i = 0; i < n; ++i) q[i] = code_from_f32(x[i] / scale, zero_point, lo, hi);
}

void dequantize_u8(const uint8_t* q, size_t n, float scale, int32_t zero_point, float* y) {
  for (size_t i = 0; i < n; ++i) y[i] = static_cast<float>(q[i] - zero_point) * scale;
}

}  // namespace

const ElementwiseKernels elementwise_scalar = {add_u8,       add_constant_u8, mul_u8,    lookup_u8,
                                               add_f32,      mul_f32,         prelu_f32, mix_f32,
                                               quantize_f32, dequantize_u8,   "scalar"};

}  // namespace octet
