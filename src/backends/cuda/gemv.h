#pragma once
// A fully connected layer of one row or few, also with the average of all pixels in front of it.

#include "backends/cuda/launch.h"

namespace octet::cuda {

/// x: [rows][pixels][k] codes; their averages, as codes, are what the layer reads. pixels = 0: x is [rows][k].
struct AverageParams {
  int pixels = 0;        // at most k_most_average_pixels
  int32_t x_zero = 0;    // u8 domain
  float multiplier = 0;  // of the sum over the pixels
  Epilogue epilogue;     // to codes
};

struct GemvParams {
  const void* x = nullptr;
  const void* w = nullptr;  // [n][k] s8
  void* y = nullptr;        // [rows][n]
  const float* multiplier = nullptr;
  const int32_t* bias = nullptr;  // zero point folded in
  int rows = 1, n = 1, k = 16;    // k: a multiple of 16, at most k_most_gemv_k
  Epilogue epilogue;
  AverageParams average;
};

inline constexpr int k_most_gemv_k = 2048;
inline constexpr int k_most_average_pixels = 256;  // sums of so many codes have 16 bits
/// For the current device, before the first launch there.
cudaError_t gemv_setup();
cudaError_t launch_gemv(const GemvParams& p, cudaStream_t stream);

}  // namespace octet::cuda
