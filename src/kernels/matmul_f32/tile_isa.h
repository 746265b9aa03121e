#pragma once
// Tiles of rows x two registers of columns, all sums in registers. V is the ISA's register: its width in floats and
// what is done with it. For one ISA file only: everything is in an unnamed namespace.

#include "kernels/matmul_f32/matmul_f32_isa.h"

namespace octet {
namespace {

template <class V, int rows, int registers>
void tile(const MatMulF32Args& p, int64_t m, int64_t i) {
  typename V::Register sums[rows][registers];
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < registers; ++v) sums[r][v] = V::zero();
  const float* a = p.a + m * p.a_row;
  const float* b = p.b + i;
  for (int64_t k = 0; k < p.k; ++k, a += p.a_column, b += p.b_row) {
    typename V::Register columns[registers];
    for (int v = 0; v < registers; ++v) columns[v] = V::load(b + v * V::width);
    for (int r = 0; r < rows; ++r) {
      const typename V::Register one = V::splat(a[r * p.a_row]);
      for (int v = 0; v < registers; ++v) sums[r][v] = V::fma(one, columns[v], sums[r][v]);
    }
  }
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < registers; ++v) {
      const int64_t at = i + v * V::width;
      V::store(p.y + (m + r) * p.y_row + at, sums[r][v], p.n - at);
    }
}

template <class V, int rows>
void strip(const MatMulF32Args& p, int64_t m) {
  int64_t i = 0;
  for (; i + V::width < p.n; i += 2 * V::width) tile<V, rows, 2>(p, m, i);
  if (i < p.n) tile<V, rows, 1>(p, m, i);
}

template <class V, int rows>
void product(const MatMulF32Args& p) {
  int64_t m = 0;
  for (; m + rows <= p.rows; m += rows) strip<V, rows>(p, m);
  for (; m + 2 <= p.rows; m += 2) strip<V, 2>(p, m);
  for (; m < p.rows; ++m) strip<V, 1>(p, m);
}

}  // namespace
}  // namespace octet
