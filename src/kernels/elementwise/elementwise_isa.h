#pragma once
// The element-wise family's functions, one set per ISA. C headers only: ISA files include this.

#include <stddef.h>
#include <stdint.h>

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

struct CodeRows {
  const uint8_t* x;
  uint8_t* y;
  int64_t x_step, y_step;  // from row to row
  int64_t rows, n;
};

/// Nothing is read or written beyond n elements. y may be a or b, but may not overlap them otherwise.
/// Zero points and lo <= hi lie in [0, 255].
struct ElementwiseKernels {
  /// y = clamp(rne(fma(a - za, ma, (b - zb) * mb)) + zy, lo, hi).
  void (*add_u8)(const uint8_t* a, const uint8_t* b, size_t n, const AddU8Params& p, uint8_t* y);
  /// The same with (b - zb) * mb given.
  void (*add_constant_u8)(const uint8_t* a, const float* b, size_t n, const AddU8Params& p, uint8_t* y);
  /// y = clamp(rne((a - za) * (b - zb) * m) + zy, lo, hi); the integer product is exact.
  void (*mul_u8)(const uint8_t* a, const uint8_t* b, size_t n, const MulU8Params& p, uint8_t* y);
  /// y = table[x], 256 entries.
  void (*lookup_u8)(const uint8_t* x, size_t n, const uint8_t* table, uint8_t* y);
  void (*add_f32)(const float* a, const float* b, size_t n, float* y);
  void (*mul_f32)(const float* a, const float* b, size_t n, float* y);
  /// y = a < 0 ? a * b : a.
  void (*prelu_f32)(const float* a, const float* b, size_t n, float* y);
  /// y = x[0] w[0] + x[1] w[1] + ... from left to right, each operation one rounding; 2 or 4 rows of n.
  void (*mix_f32)(const float* const* x, const float* w, int rows, size_t n, float* y);
  /// ONNX QuantizeLinear: true division, q = sat(rne(x / scale) + zero_point), NaN -> zero_point. u8 domain.
  void (*quantize_f32)(const float* x, size_t n, float scale, int32_t zero_point, int32_t lo, int32_t hi, uint8_t* q);
  /// (q - zero_point) * scale.
  void (*dequantize_u8)(const uint8_t* q, size_t n, float scale, int32_t zero_point, float* y);
  const char* name;
  /// lookup_u8 of rows of n, at any distances; null = no faster than to bring them together first.
  void (*lookup_rows_u8)(const CodeRows& rows, const uint8_t* table) = nullptr;
};

/// lookup_u8 and lookup_rows_u8 where CPUs with AVX-512 have VBMI, too (base/vbmi.h).
void lookup_u8_vbmi(const uint8_t* x, size_t n, const uint8_t* table, uint8_t* y);
void lookup_rows_u8_vbmi(const CodeRows& rows, const uint8_t* table);

extern const ElementwiseKernels elementwise_scalar;
extern const ElementwiseKernels elementwise_avx2;
extern const ElementwiseKernels elementwise_avx512_vnni;

}  // namespace octet
