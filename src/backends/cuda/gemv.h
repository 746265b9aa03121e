#pragma once
// A fully connected layer of one row or few.

#include "backends/cuda/launch.h"

namespace octet::cuda {

struct GemvParams {
  const void* x = nullptr;  // [rows][k] codes
  const void* w = nullptr;  // [n][k] s8
  void* y = nullptr;        // [rows][n]
  const float* multiplier = nullptr;
  const int32_t* bias = nullptr;  // zero point folded in
  int rows = 1, n = 1, k = 16;    // k: a multiple of 16, at most k_most_gemv_k
  Epilogue epilogue;
};

inline constexpr int k_most_gemv_k = 2048;
cudaError_t launch_gemv(const GemvParams& p, cudaStream_t stream);

}  // namespace octet::cuda
