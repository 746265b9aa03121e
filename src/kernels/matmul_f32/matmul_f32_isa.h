#pragma once
// Products of two f32 matrices that both are made while the network runs. C headers only: ISA files include this.

#include <stdint.h>

namespace octet {

/// Strides in floats. Rows of b have room up to a multiple of 16 columns; what stands there may be anything. y has n
/// columns beside each other.
struct MatMulF32Args {
  const float* a;
  int64_t a_row, a_column;
  const float* b;
  int64_t b_row;
  float* y;
  int64_t y_row;
  int64_t rows, n, k;
};

/// Rows of up to k_most_narrow floats to rows as narrow, both dense: a vector holds several.
struct NarrowRowsF32 {
  const float* x;  // [rows, k]
  float* y;        // [rows, n], elsewhere
  int64_t rows;
  int32_t k, n;
  const float* weights;  // [n, k]
  const float* bias;     // [n]
  const float* factor;   // [n], or null = 1
};
inline constexpr int k_most_narrow = 8;

struct MatMulF32Kernels {
  /// y[m][i] = fma(a[m][k-1], b[k-1][i], ... fma(a[m][0], b[0][i], 0)): one fma for each product in increasing k order,
  /// the same bits on every ISA. Nothing behind column n of y is written.
  void (*product)(const MatMulF32Args& args);
  /// y[m][i] = fma(x[m][k-1], w[i][k-1], ... fma(x[m][0], w[i][0], bias[i])) * factor[i], in increasing k order, the
  /// same bits on every ISA. 1 <= k, n <= k_most_narrow. Nothing but y is written.
  void (*narrow)(const NarrowRowsF32& args);
  const char* name;
};

extern const MatMulF32Kernels matmul_f32_scalar;
extern const MatMulF32Kernels matmul_f32_avx2;
extern const MatMulF32Kernels matmul_f32_avx512_vnni;

}  // namespace octet
