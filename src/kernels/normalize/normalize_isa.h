#pragma once
// Rows of floats brought to a common measure: softmax and layer normalization. One set of functions per ISA, all with
// the same bits: sums run over 16 lanes (element i belongs to lane i mod 16), which are then added in double in pairs
// 8, 4, 2, 1 apart; every operation is one rounding. C headers only: ISA files include this.

#include <stddef.h>

namespace octet {

inline constexpr size_t k_softmax_part = 4;
inline constexpr double k_least_squares = 1e-30, k_most_squares = 1e37;

struct NormalizeKernels {
  /// x[i] = e[i] * (float)(1 / sum e), e[i] = exp(x[i] - max), exp of tensor/activation.h, and 0 where x[i] - max < -87
  /// (a mask of -inf). A lane adds up to k_softmax_part elements in f32, and these sums in double. A NaN, a +inf or
  /// nothing but -inf gives NaN everywhere. Of each of `rows` rows, `step` floats apart; n > 0, in place.
  void (*softmax)(float* x, size_t rows, size_t n, ptrdiff_t step);
  /// x[i] = fma(fma(d, r, s), scale[i], bias[i]), d = x[i] - m in f32, where m is about the mean (lanes in f32, then
  /// double, rounded once), and by the lanes' sums of d and of d^2 (fma) in f32: D = sum d / n, V = sum d^2 / n - D^2,
  /// at least 0, r' = 1 / sqrt(V + epsilon), r = (float)r', s = (float)(-D r'). A row whose sum of d^2 is beyond
  /// [k_least_squares, k_most_squares] goes by layer_row_in_double(). Rows as above; n > 0, in place.
  void (*layer)(float* x, size_t rows, size_t n, ptrdiff_t step, double epsilon, const float* scale, const float* bias);
  /// x[i] = x[i] / 2 * erfc(-x[i] / sqrt 2): GELU. In place.
  void (*gelu)(float* x, size_t n);
  const char* name;
};

/// x[i] = (float)((x[i] - mean) * (1 / sqrt(var + epsilon))) * scale[i] + bias[i], all but the last two operations in
/// double: for rows that are constant, or whose squares no f32 holds.
void layer_row_in_double(float* x, size_t n, double epsilon, const float* scale, const float* bias);

extern const NormalizeKernels normalize_scalar;
extern const NormalizeKernels normalize_avx2;
extern const NormalizeKernels normalize_avx512_vnni;

}  // namespace octet
