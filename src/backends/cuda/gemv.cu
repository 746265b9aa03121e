// A fully connected layer of one row or few: a warp sums one output, with its weights in registers before the kernel
// before this one is through.
#include "backends/cuda/device.cuh"
#include "backends/cuda/gemv.h"

namespace octet::cuda {
namespace {

constexpr int k_warps = 8, k_threads = 32 * k_warps;
constexpr int k_chunks = k_most_gemv_k / 16 / 32;  // chunks of 16 codes a lane

__device__ __forceinline__ int32_t dot(uint32_t x, uint32_t w, int32_t acc) {
  int32_t sum;
  asm("dp4a.u32.s32 %0, %1, %2, %3;" : "=r"(sum) : "r"(x), "r"(w), "r"(acc));
  return sum;
}

/// The average of all pixels of image `row` as k codes in shared memory. A thread sums 16 channels of every so many
/// pixels, two sums in a word.
__device__ __forceinline__ void average(const GemvParams& p, int row, uint16_t* sums, uint8_t* codes) {
  const AverageParams& a = p.average;
  const int chunks = p.k / 16, parts = k_threads / chunks;
  const int chunk = static_cast<int>(threadIdx.x) % chunks, part = static_cast<int>(threadIdx.x) / chunks;
  if (part < parts) {
    const auto* x = static_cast<const uint4*>(p.x) + int64_t{row} * a.pixels * chunks + chunk;
    uint32_t even[4] = {}, odd[4] = {};
#pragma unroll 4
    for (int i = part; i < a.pixels; i += parts) {
      const uint4 v = x[i * chunks];
      const uint32_t words[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
      for (int w = 0; w < 4; ++w) even[w] += words[w] & 0x00ff00ffu, odd[w] += words[w] >> 8 & 0x00ff00ffu;
    }
    auto* const to = reinterpret_cast<uint4*>(sums + (part * chunks + chunk) * 16);
    to[0] = make_uint4(even[0], odd[0], even[1], odd[1]);
    to[1] = make_uint4(even[2], odd[2], even[3], odd[3]);
  }
  __syncthreads();
  for (int c = threadIdx.x; c < p.k; c += k_threads) {
    // Channel c of a word is half c / 2 of its even or odd sums.
    const int at = c / 4 * 4 + c % 2 * 2 + c % 4 / 2;
    int32_t sum = -a.pixels * a.x_zero;
    for (int i = 0; i < parts; ++i) sum += sums[i * p.k + at];
    codes[c] = static_cast<uint8_t>(output_code(a.epilogue, scaled(sum, a.multiplier)));
  }
  __syncthreads();
}

template <bool Average>
__global__ void __launch_bounds__(k_threads) gemv(const __grid_constant__ GemvParams p) {
  __shared__ __align__(16) uint16_t sums[Average ? k_threads * 16 : 8];
  __shared__ __align__(16) uint8_t codes[Average ? k_most_gemv_k : 16];
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
  if constexpr (Average) average(p, blockIdx.y, sums, codes);
  const auto* x = Average ? reinterpret_cast<const uint4*>(codes)
                          : static_cast<const uint4*>(p.x) + int64_t{blockIdx.y} * (p.k / 16);
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

cudaError_t gemv_setup() {
  const cudaError_t alone = allow_shared(gemv<false>, 0);
  return alone == cudaSuccess ? allow_shared(gemv<true>, 0) : alone;
}

cudaError_t launch_gemv(const GemvParams& p, cudaStream_t stream) {
  auto* const kernel = p.average.pixels > 0 ? gemv<true> : gemv<false>;
  return launch(kernel, dim3(static_cast<unsigned>((p.n + k_warps - 1) / k_warps), static_cast<unsigned>(p.rows)),
                k_threads, 0, stream, p);
}

}  // namespace octet::cuda
