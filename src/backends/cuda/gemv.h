#pragma once
// A fully connected layer of one row or few. The kernel can average the pixels of a row first; the planner does not ask
// for it: it would leave out a pool of one pixel, which still changes codes.

#include "backends/cuda/launch.h"

namespace octet::cuda {

struct GemvParams {
  const void* x = nullptr;  // [rows][plane][k] codes
  const void* w = nullptr;  // [n][k] s8
  void* y = nullptr;        // [rows][n]
  const float* multiplier = nullptr;
  const int32_t* bias = nullptr;  // zero point folded in
  int rows = 1, n = 1, k = 16;    // k: a multiple of 16, at most k_most_gemv_k
  int plane = 1;                  // pixels that are averaged first; 1: none
  int32_t pool_zero = 0;
  float pool_multiplier = 0;
  Epilogue pool, epilogue;
};

inline constexpr int k_most_gemv_k = 2048;
/// The pool is done by every CTA again: so many bytes of a row are worth it.
inline constexpr int k_most_gemv_pool_bytes = 16384;
cudaError_t launch_gemv(const GemvParams& p, cudaStream_t stream);

}  // namespace octet::cuda
