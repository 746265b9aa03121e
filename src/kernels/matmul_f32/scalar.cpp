// Plain C++: the judge of the family.
#include <algorithm>
#include <cmath>

#include "kernels/matmul_f32/matmul_f32_isa.h"

namespace octet {
namespace {

void product(const MatMulF32Args& p) {
  for (int64_t m = 0; m < p.rows; ++m) {
    float* const y = p.y + m * p.y_row;
    std::fill_n(y, p.n, 0.0f);
    for (int64_t k = 0; k < p.k; ++k) {
      const float a = p.a[m * p.a_row + k * p.a_column];
      const float* const b = p.b + k * p.b_row;
      for (int64_t i = 0; i < p.n; ++i) y[i] = std::fma(a, b[i], y[i]);
    }
  }
}

void narrow(const NarrowRowsF32& p) {
  for (int64_t m = 0; m < p.rows; ++m)
    for (int32_t i = 0; i < p.n; ++i) {
      float sum = p.bias[i];
      for (int32_t k = 0; k < p.k; ++k) sum = std::fma(p.x[m * p.k + k], p.weights[i * p.k + k], sum);
      p.y[m * p.n + i] = p.factor ? sum * p.factor[i] : sum;
    }
}

}  // namespace

const MatMulF32Kernels matmul_f32_scalar = {product, narrow, "scalar"};

}  // namespace octet
