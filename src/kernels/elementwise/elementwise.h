#pragma once
// Element-wise kernels on rows of n elements (a row = the C channels of one pixel, or a whole dense buffer).

#include <stddef.h>
#include <stdint.h>

#include "base/isa.h"
#include "kernels/conventions.h"

namespace octet {

struct AddU8Params {
  int32_t a_zero_point, b_zero_point, y_zero_point, lo, hi;
  float a_multiplier, b_multiplier;  // m and mr of QuantAdd
};
struct MulU8Params {
  int32_t a_zero_point, b_zero_point, y_zero_point, lo, hi;
  float multiplier;
};

struct ElementwiseKernels {
  void (*add_u8)(const uint8_t* a, const uint8_t* b, size_t n, const AddU8Params& p, uint8_t* y);
  void (*mul_u8)(const uint8_t* a, const uint8_t* b, size_t n, const MulU8Params& p, uint8_t* y);
  void (*lookup_u8)(const uint8_t* x, size_t n, const uint8_t* table, uint8_t* y);
  void (*add_f32)(const float* a, const float* b, size_t n, float* y);
  void (*mul_f32)(const float* a, const float* b, size_t n, float* y);
  /// ONNX QuantizeLinear: true division, q = sat(rne(x / scale) + zero_point), NaN -> zero_point. u8 domain.
  void (*quantize_f32)(const float* x, size_t n, float scale, int32_t zero_point, int32_t lo, int32_t hi, uint8_t* q);
  /// (q - zero_point) * scale.
  void (*dequantize_u8)(const uint8_t* q, size_t n, float scale, int32_t zero_point, float* y);
  const char* name;
};
ElementwiseKernels elementwise_kernels(Isa isa);

}  // namespace octet
