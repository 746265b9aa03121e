#pragma once
// Rows of floats brought to a common measure: softmax and layer normalization. One set of functions per ISA, all with
// the same bits: sums run in double over 16 lanes (element i belongs to lane i mod 16), which are then added in pairs
// 8, 4, 2, 1 apart; every operation is one rounding. C headers only: ISA files include this.

#include <stddef.h>

namespace octet {

struct NormalizeKernels {
  /// x[i] = e[i] * (float)(1 / sum e), e[i] = exp(x[i] - max), exp of tensor/activation.h, and 0 where x[i] - max < -87
  /// (a mask of -inf). A NaN, a +inf or nothing but -inf gives NaN everywhere. Of each of `rows` rows, `step` floats
  /// apart; n > 0, in place.
  void (*softmax)(float* x, size_t rows, size_t n, ptrdiff_t step);
  /// x[i] = (float)((x[i] - mean) * (1 / sqrt(var + epsilon))) * scale[i] + bias[i], all but the last two operations in
  /// double. Rows as above; n > 0, in place.
  void (*layer)(float* x, size_t rows, size_t n, ptrdiff_t step, double epsilon, const float* scale, const float* bias);
  /// x[i] = x[i] / 2 * erfc(-x[i] / sqrt 2): GELU. In place.
  void (*gelu)(float* x, size_t n);
  const char* name;
};

extern const NormalizeKernels normalize_scalar;
extern const NormalizeKernels normalize_avx2;
extern const NormalizeKernels normalize_avx512_vnni;

}  // namespace octet
