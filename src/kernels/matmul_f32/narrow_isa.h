#pragma once
// Rows of up to k_most_narrow floats, as many side by side as fit in a register: lane r n + i is output i of row r, and
// step k takes x[r][k] there by one permutation. V is the ISA's register: its width in floats and what is done with it.
// For one ISA file only: everything is in an unnamed namespace.

#include "kernels/matmul_f32/matmul_f32_isa.h"

namespace octet {
namespace {

/// What a lane takes in each step.
template <class V>
struct NarrowLanes {
  alignas(64) int32_t from[k_most_narrow][V::width] = {};
  alignas(64) float weight[k_most_narrow][V::width] = {}, bias[V::width] = {}, factor[V::width] = {};

  NarrowLanes(const NarrowRowsF32& p, int rows) {
    for (int lane = 0; lane < rows * p.n; ++lane) {
      const int i = lane % p.n;
      bias[lane] = p.bias[i], factor[lane] = p.factor ? p.factor[i] : 1.0f;
      for (int k = 0; k < p.k; ++k) from[k][lane] = lane / p.n * p.k + k, weight[k][lane] = p.weights[i * p.k + k];
    }
  }
};

/// `registers` of them one after the other; the last has `left` rows, if that is fewer than fill it.
template <class V, int registers>
void narrow_step(const NarrowRowsF32& p, const NarrowLanes<V>& lanes, int rows, int64_t left, const float* x,
                 float* y) {
  typename V::Register values[registers], sums[registers];
  for (int r = 0; r < registers; ++r) {
    const int64_t here = r + 1 < registers || left > rows ? rows : left;
    values[r] = V::load_part(x + r * rows * p.k, here * p.k);
    sums[r] = V::load(lanes.bias);
  }
  for (int32_t k = 0; k < p.k; ++k) {
    const typename V::Register weight = V::load(lanes.weight[k]);
    for (int r = 0; r < registers; ++r) sums[r] = V::fma(V::permute(values[r], lanes.from[k]), weight, sums[r]);
  }
  for (int r = 0; r < registers; ++r) {
    const int64_t here = r + 1 < registers || left > rows ? rows : left;
    if (p.factor) sums[r] = V::mul(sums[r], V::load(lanes.factor));
    V::store(y + r * rows * p.n, sums[r], here * p.n);
  }
}

template <class V>
void narrow(const NarrowRowsF32& p) {
  constexpr int registers = 4;  // one waits for its sums, others do not
  const int rows = static_cast<int>(V::width) / (p.k > p.n ? p.k : p.n);
  const NarrowLanes<V> lanes(p, rows);
  const float* x = p.x;
  float* y = p.y;
  int64_t left = p.rows;
  for (; left >= registers * rows; left -= registers * rows, x += registers * rows * p.k, y += registers * rows * p.n)
    narrow_step<V, registers>(p, lanes, rows, rows, x, y);
  for (; left > 0; left -= rows, x += rows * p.k, y += rows * p.n) narrow_step<V, 1>(p, lanes, rows, left, x, y);
}

}  // namespace
}  // namespace octet
