// One warp for each row: reductions, Softmax, LayerNormalization; and matrix products of two activations.
#include "backends/cuda/device.cuh"
#include "backends/cuda/launch.h"

namespace octet::cuda {
namespace {

constexpr int k_warps = 8;

__device__ __forceinline__ float warp_sum(float v) {
  for (int step = 16; step > 0; step /= 2) v += __shfl_xor_sync(~0u, v, step);
  return v;
}
/// NaN where one is; fmaxf and fminf would give the other number.
__device__ __forceinline__ float larger(float a, float b) { return b > a || isnan(b) ? b : a; }
__device__ __forceinline__ float smaller(float a, float b) { return b < a || isnan(b) ? b : a; }
__device__ __forceinline__ float warp_max(float v) {
  for (int step = 16; step > 0; step /= 2) v = larger(v, __shfl_xor_sync(~0u, v, step));
  return v;
}
__device__ __forceinline__ float warp_min(float v) {
  for (int step = 16; step > 0; step /= 2) v = smaller(v, __shfl_xor_sync(~0u, v, step));
  return v;
}
__device__ __forceinline__ int64_t row_here() { return int64_t{blockIdx.x} * k_warps + threadIdx.x / 32; }

template <class T>
__global__ void reduce(Reduce op, const __grid_constant__ Strided outer, const __grid_constant__ Strided inner, T* y,
                       const T* x) {
  grid_begin();
  const int64_t row = row_here();
  const int lane = threadIdx.x % 32;
  if (row >= outer.count) return;
  int64_t at[2];
  offsets(outer, static_cast<uint32_t>(row), at);
  float v = op == Reduce::max_ ? -INFINITY : op == Reduce::min_ ? INFINITY : 0.0f;
  for (int64_t i = lane; i < inner.count; i += 32) {
    int64_t in[2];
    offsets(inner, static_cast<uint32_t>(i), in);
    const float e = load_float(x + at[1] + in[1]);
    v = op == Reduce::max_ ? larger(v, e) : op == Reduce::min_ ? smaller(v, e) : v + e;
  }
  v = op == Reduce::max_ ? warp_max(v) : op == Reduce::min_ ? warp_min(v) : warp_sum(v);
  if (op == Reduce::mean) v /= static_cast<float>(inner.count);
  if (lane == 0) store_float(y + at[0], v);
}

template <class T>
__global__ void softmax(bool log, const __grid_constant__ Strided outer, int64_t length, int64_t y_step, int64_t x_step,
                        T* y, const T* x) {
  grid_begin();
  const int64_t row = row_here();
  const int lane = threadIdx.x % 32;
  if (row >= outer.count) return;
  int64_t at[2];
  offsets(outer, static_cast<uint32_t>(row), at);
  x += at[1], y += at[0];
  float largest = -INFINITY, sum = 0;
  for (int64_t i = lane; i < length; i += 32) largest = larger(largest, load_float(x + i * x_step));
  largest = warp_max(largest);
  for (int64_t i = lane; i < length; i += 32) sum += expf(load_float(x + i * x_step) - largest);
  sum = warp_sum(sum);
  const float log_sum = log ? logf(sum) : 0.0f;
  for (int64_t i = lane; i < length; i += 32) {
    const float v = load_float(x + i * x_step) - largest;
    store_float(y + i * y_step, log ? v - log_sum : expf(v) / sum);
  }
}

/// Where element i of a row lies, in x and in y.
struct DenseRow {
  __device__ __forceinline__ void at(int64_t i, int64_t (&at)[2]) const { at[0] = at[1] = i; }
};
struct StridedRow {
  const Strided& loop;
  __device__ __forceinline__ void at(int64_t i, int64_t (&at)[2]) const { offsets(loop, static_cast<uint32_t>(i), at); }
};

/// x, y: of the row's first element.
template <class T, class Row>
__device__ __forceinline__ void normalize(const Row& row, const LayerNormParams& p, T* y, const T* x) {
  const int lane = threadIdx.x % 32;
  float sum = 0, squares = 0;
  int64_t at[2];
  for (int64_t i = lane; i < p.length; i += 32) {
    row.at(i, at);
    sum += load_float(x + at[1]);
  }
  const float mean = warp_sum(sum) / static_cast<float>(p.length);
  for (int64_t i = lane; i < p.length; i += 32) {
    row.at(i, at);
    const float d = load_float(x + at[1]) - mean;
    squares += d * d;
  }
  const float deviation = sqrtf(warp_sum(squares) / static_cast<float>(p.length) + p.epsilon);
  for (int64_t i = lane; i < p.length; i += 32) {
    row.at(i, at);
    float v = (load_float(x + at[1]) - mean) / deviation;
    if (p.scale) v *= p.scale[i];
    if (p.bias) v += p.bias[i];
    store_float(y + at[0], v);
  }
}

template <class T>
__global__ void layer_norm(const __grid_constant__ LayerNormParams p, T* y, const T* x) {
  grid_begin();
  const int64_t row = row_here();
  if (row < p.rows) normalize(DenseRow{}, p, y + row * p.length, x + row * p.length);
}

template <class T>
__global__ void layer_norm_strided(const __grid_constant__ Strided outer, const __grid_constant__ Strided inner,
                                   const __grid_constant__ LayerNormParams p, T* y, const T* x) {
  grid_begin();
  const int64_t row = row_here();
  if (row >= p.rows) return;
  int64_t at[2];
  offsets(outer, static_cast<uint32_t>(row), at);
  normalize(StridedRow{inner}, p, y + at[0], x + at[1]);
}

constexpr int k_tile = 32;

template <class T>
__global__ void matmul(const __grid_constant__ Strided batch, const __grid_constant__ MatMulParams p, T* y, const T* a,
                       const T* b) {
  grid_begin();
  __shared__ float sa[k_tile][k_tile + 1], sb[k_tile][k_tile + 1];
  int64_t at[3];
  offsets(batch, blockIdx.z, at);
  y += at[0], a += at[1], b += at[2];
  const int column = threadIdx.x, m0 = blockIdx.y * k_tile, n0 = blockIdx.x * k_tile;
  float acc[4] = {};
  for (int k0 = 0; k0 < p.k; k0 += k_tile) {
    for (int r = threadIdx.y; r < k_tile; r += 8) {
      const int m = m0 + r, ka = k0 + column, kb = k0 + r, n = n0 + column;
      sa[r][column] = m < p.m && ka < p.k ? load_float(a + m * p.a_row + ka * p.a_col) : 0.0f;
      sb[r][column] = kb < p.k && n < p.n ? load_float(b + kb * p.b_row + n * p.b_col) : 0.0f;
    }
    __syncthreads();
    for (int k = 0; k < k_tile; ++k) {
#pragma unroll
      for (int i = 0; i < 4; ++i) acc[i] = __fmaf_rn(sa[threadIdx.y + 8 * i][k], sb[k][column], acc[i]);
    }
    __syncthreads();
  }
  for (int i = 0; i < 4; ++i) {
    const int m = m0 + static_cast<int>(threadIdx.y) + 8 * i, n = n0 + column;
    if (m < p.m && n < p.n) store_float(y + m * p.y_row + n * p.y_col, acc[i]);
  }
}

}  // namespace

cudaError_t launch_reduce(Reduce op, Store store, const Strided& outer, const Strided& inner, void* y, const void* x,
                          cudaStream_t stream) {
  const dim3 grid = blocks_for(outer.count, k_warps);
  if (store == Store::f16)
    return launch(reduce<__half>, grid, k_warps * 32, 0, stream, op, outer, inner, static_cast<__half*>(y),
                  static_cast<const __half*>(x));
  return launch(reduce<float>, grid, k_warps * 32, 0, stream, op, outer, inner, static_cast<float*>(y),
                static_cast<const float*>(x));
}

cudaError_t launch_softmax(bool log, Store store, const Strided& outer, int64_t length, int64_t y_step, int64_t x_step,
                           void* y, const void* x, cudaStream_t stream) {
  const dim3 grid = blocks_for(outer.count, k_warps);
  if (store == Store::f16)
    return launch(softmax<__half>, grid, k_warps * 32, 0, stream, log, outer, length, y_step, x_step,
                  static_cast<__half*>(y), static_cast<const __half*>(x));
  return launch(softmax<float>, grid, k_warps * 32, 0, stream, log, outer, length, y_step, x_step,
                static_cast<float*>(y), static_cast<const float*>(x));
}

cudaError_t launch_layer_norm(Store store, const LayerNormParams& p, void* y, const void* x, cudaStream_t stream) {
  const dim3 grid = blocks_for(p.rows, k_warps);
  if (store == Store::f16)
    return launch(layer_norm<__half>, grid, k_warps * 32, 0, stream, p, static_cast<__half*>(y),
                  static_cast<const __half*>(x));
  return launch(layer_norm<float>, grid, k_warps * 32, 0, stream, p, static_cast<float*>(y),
                static_cast<const float*>(x));
}

cudaError_t launch_layer_norm(Store store, const Strided& outer, const Strided& inner, const LayerNormParams& p,
                              void* y, const void* x, cudaStream_t stream) {
  const dim3 grid = blocks_for(p.rows, k_warps);
  if (store == Store::f16)
    return launch(layer_norm_strided<__half>, grid, k_warps * 32, 0, stream, outer, inner, p, static_cast<__half*>(y),
                  static_cast<const __half*>(x));
  return launch(layer_norm_strided<float>, grid, k_warps * 32, 0, stream, outer, inner, p, static_cast<float*>(y),
                static_cast<const float*>(x));
}

cudaError_t launch_matmul(Store store, const Strided& batch, const MatMulParams& p, void* y, const void* a,
                          const void* b, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>((p.n + k_tile - 1) / k_tile),
                  static_cast<unsigned>((p.m + k_tile - 1) / k_tile), static_cast<unsigned>(batch.count));
  const dim3 block(k_tile, 8);
  if (store == Store::f16)
    return launch(matmul<__half>, grid, block, 0, stream, batch, p, static_cast<__half*>(y),
                  static_cast<const __half*>(a), static_cast<const __half*>(b));
  return launch(matmul<float>, grid, block, 0, stream, batch, p, static_cast<float*>(y), static_cast<const float*>(a),
                static_cast<const float*>(b));
}

}  // namespace octet::cuda
