#pragma once
// The products of a stage: fragments from swizzled rows of BK bytes, pixels first and weights behind them.

#include "backends/cuda/mma.cuh"

namespace octet::cuda {

/// Adds the products of the warp's M x N part of a tile, at (wm, wn) of the warps.
template <ConvType T, int BM, int BK, int k_m, int k_n>
__device__ __forceinline__ void multiply_tile(typename Accumulator<T>::type (&acc)[k_m / 16][k_n / 8][4],
                                              uint32_t stage, int wm, int wn, int lane) {
  constexpr int k_mi = k_m / 16, k_ni = k_n / 8;
  // Steps of K whose fragments are loaded before the first product: all where they fit, which a warp with little to
  // do waits for once.
  constexpr int k_steps = BK / 32, k_ahead = (k_mi + k_ni / 2) * k_steps <= 12 ? k_steps : 1;
  const int a_row = wm * k_m + (lane & 15), a_chunk = lane >> 4;
  const int b_row = wn * k_n + (lane & 7) + (lane >> 4) * 8, b_chunk = lane >> 3 & 1;
#pragma unroll
  for (int first = 0; first < k_steps; first += k_ahead) {
    uint32_t a[k_ahead][k_mi][4], b[k_ahead][k_ni / 2][4];
#pragma unroll
    for (int k = 0; k < k_ahead; ++k) {
      const int chunk = 2 * (first + k);
#pragma unroll
      for (int i = 0; i < k_mi; ++i) load_matrices(a[k][i], stage + swizzled<BK>(a_row + i * 16, chunk + a_chunk));
#pragma unroll
      for (int j = 0; j < k_ni / 2; ++j)
        load_matrices(b[k][j], stage + BM * BK + swizzled<BK>(b_row + j * 16, chunk + b_chunk));
    }
#pragma unroll
    for (int k = 0; k < k_ahead; ++k) {
#pragma unroll
      for (int i = 0; i < k_mi; ++i) {
#pragma unroll
        for (int j = 0; j < k_ni; ++j)
          multiply<T>(acc[i][j], a[k][i], b[k][j / 2][j % 2 * 2], b[k][j / 2][j % 2 * 2 + 1]);
      }
    }
  }
}

}  // namespace octet::cuda
