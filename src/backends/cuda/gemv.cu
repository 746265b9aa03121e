// A fully connected layer of one row or few: a warp sums one output, with its weights in registers before the kernel
// before this one is through.
#include "backends/cuda/device.cuh"
#include "backends/cuda/gemv.h"

namespace octet::cuda {
namespace {

constexpr int k_warps = 8, k_chunks = k_most_gemv_k / 16 / 32;  // chunks of 16 codes a lane

__device__ __forceinline__ int32_t dot(uint32_t x, uint32_t w, int32_t acc) {
  int32_t sum;
  asm("dp4a.u32.s32 %0, %1, %2, %3;" : "=r"(sum) : "r"(x), "r"(w), "r"(acc));
  return sum;
}

__global__ void __launch_bounds__(32 * k_warps) gemv(const __grid_constant__ GemvParams p) {
  const int lane = threadIdx.x % 32, n = static_cast<int>(blockIdx.x) * k_warps + static_cast<int>(threadIdx.x) / 32;
  const int chunks = n < p.n ? p.k / 16 : 0;
  uint4 w[k_chunks];
#pragma unroll
  for (int j = 0; j < k_chunks; ++j)
    if (lane + 32 * j < chunks)
      w[j] = static_cast<const uint4*>(p.w)[static_cast<int64_t>(n) * (p.k / 16) + lane + 32 * j];
  const int32_t bias = n < p.n ? p.bias[n] : 0;
  const float multiplier = n < p.n ? p.multiplier[n] : 0.0f;
  grid_wait();
  grid_trigger();
  const auto* x = static_cast<const uint4*>(p.x) + int64_t{blockIdx.y} * (p.k / 16);
  int32_t sum = 0;
#pragma unroll
  for (int j = 0; j < k_chunks; ++j) {
    if (lane + 32 * j >= chunks) continue;
    const uint4 v = x[lane + 32 * j];
    sum = dot(v.x, w[j].x, dot(v.y, w[j].y, dot(v.z, w[j].z, dot(v.w, w[j].w, sum))));
  }
#pragma unroll
  for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
  if (lane != 0 || n >= p.n) return;
  const float v = scaled(sum + bias, multiplier);
  const int64_t at = int64_t{blockIdx.y} * p.n + n;
  if (p.epilogue.to == Store::u8) {
    static_cast<uint8_t*>(p.y)[at] = static_cast<uint8_t>(output_code(p.epilogue, v));
  } else if (p.epilogue.to == Store::f32) {
    static_cast<float*>(p.y)[at] = output_value(p.epilogue, v);
  } else {
    static_cast<__half*>(p.y)[at] = __float2half_rn(output_value(p.epilogue, v));
  }
}

}  // namespace

cudaError_t launch_gemv(const GemvParams& p, cudaStream_t stream) {
  static const cudaError_t set =
      cudaFuncSetAttribute(gemv, cudaFuncAttributePreferredSharedMemoryCarveout, cudaSharedmemCarveoutMaxShared);
  if (set != cudaSuccess) return set;
  return launch(gemv, dim3(static_cast<unsigned>((p.n + k_warps - 1) / k_warps), static_cast<unsigned>(p.rows)),
                32 * k_warps, 0, stream, p);
}

}  // namespace octet::cuda
