#pragma once
// The functions of the row family, one set per ISA. A row is n dense floats; C headers only: ISA files include this.

#include <stddef.h>
#include <stdint.h>

namespace octet {

/// Nothing is read or written beyond n elements. y may be x (or dy), but may not overlap them otherwise. A parameter is
/// one number for the row, or one per element where `each` says so.
struct QuantRows {
  /// y = clamp(rint(x * s), lo, hi), rint to even; NaN stays NaN.
  void (*quantize)(const float* x, size_t n, const float* s, bool each, float lo, float hi, float* y);
  /// y = clamp(rint(x * s), lo, hi) / d.
  void (*fake_quantize)(const float* x, size_t n, const float* s, const float* d, bool each, float lo, float hi,
                        float* y);
  /// y = lo <= x <= hi ? dy : 0; NaN does not pass.
  void (*pass_within)(const float* x, const float* dy, size_t n, const float* lo, const float* hi, bool each, float* y);
  /// y = max(min(x, hi), lo); NaN stays NaN.
  void (*clip)(const float* x, size_t n, const float* lo, const float* hi, bool each, float* y);
  /// y = (clamp(rint(x / step) - zero, lo, hi) + zero) * step.
  void (*affine)(const float* x, size_t n, float step, float zero, float lo, float hi, float* y);
  /// y = e4m3(x * s) / s, or e4m3(x) where s is null; +0 where |x| < 2^-24.
  void (*e4m3)(const float* x, size_t n, const float* s, bool each, float* y);

  /// The largest |x| as its bit pattern: a NaN is larger than everything. 0 for an empty row.
  uint32_t (*abs_max)(const float* x, size_t n);
  bool (*any_negative)(const float* x, size_t n);  // x < 0: neither -0 nor NaN

  void (*from_f16)(const uint16_t* x, size_t n, float* y);
  void (*from_bf16)(const uint16_t* x, size_t n, float* y);
  void (*to_f16)(const float* x, size_t n, uint16_t* y);
  void (*to_bf16)(const float* x, size_t n, uint16_t* y);
  /// Whole numbers that fit; NaN becomes 0.
  void (*to_s8)(const float* x, size_t n, int8_t* y);
  void (*to_u8)(const float* x, size_t n, uint8_t* y);
  void (*to_s16)(const float* x, size_t n, int16_t* y);
  void (*to_u16)(const float* x, size_t n, uint16_t* y);
  const char* name;
};

#define OCTET_KERNEL(isa, kernels) extern const QuantRows kernels;
#include "quant/rows/kernels.def"
#undef OCTET_KERNEL

}  // namespace octet
