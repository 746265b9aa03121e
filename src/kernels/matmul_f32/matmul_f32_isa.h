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

struct MatMulF32Kernels {
  /// y[m][i] = fma(a[m][k-1], b[k-1][i], ... fma(a[m][0], b[0][i], 0)): one fma for each product in increasing k order,
  /// the same bits on every ISA. Nothing behind column n of y is written.
  void (*product)(const MatMulF32Args& args);
  const char* name;
};

extern const MatMulF32Kernels matmul_f32_scalar;
extern const MatMulF32Kernels matmul_f32_avx2;
extern const MatMulF32Kernels matmul_f32_avx512_vnni;

}  // namespace octet
