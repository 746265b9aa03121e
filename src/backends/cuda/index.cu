// Elements by index: Gather, JoinedGather, Resize, ArgMax and ArgMin.
#include "backends/cuda/device.cuh"
#include "backends/cuda/index.h"

namespace octet::cuda {
namespace {

constexpr int k_threads = 256;

__device__ __forceinline__ int64_t index_here() { return int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }
template <class T>
__device__ __forceinline__ float number(const T* p) {
  if constexpr (sizeof(T) == 1) {
    return static_cast<float>(*p);
  } else {
    return load_float(p);
  }
}

template <class T>
__global__ void gather(const __grid_constant__ Strided s, int64_t step, T* y, const T* x, const int64_t* indices) {
  grid_begin();
  const int64_t index = index_here();
  if (index >= s.count) return;
  int64_t at[3];
  offsets(s, static_cast<uint32_t>(index), at);
  y[at[0]] = x[at[1] + indices[at[2]] * step];
}

template <class T>
__global__ void gather_channels(const __grid_constant__ GatherChannelsParams p) {
  grid_begin();
  const int64_t index = index_here();
  if (index >= p.pixels * p.channels) return;
  const int64_t pixel = index / p.channels;
  const int c = static_cast<int>(index % p.channels);
  const ChannelPick pick = p.picks[c];
  const int input = pick.input - p.first_input;
  if (input < 0 || input >= p.inputs) return;
  T value = static_cast<const T*>(p.x[input])[pixel * p.x_pitch[input] + pick.channel];
  if constexpr (sizeof(T) == 1) {
    if (p.table) value = p.table[value];
  }
  static_cast<T*>(p.y)[pixel * p.y_pitch + c] = value;
}

/// Pixel (row, column) of image n; an offset in elements.
__device__ __forceinline__ int64_t pixel_at(const ResizeParams& p, int64_t n, int row, int column) {
  return ((n * p.ih + row) * p.iw + column) * p.pitch;
}

struct ResizePosition {
  int64_t n;
  int row, column, c;
};
__device__ __forceinline__ ResizePosition resize_position(const ResizeParams& p, int64_t index) {
  ResizePosition at;
  at.c = static_cast<int>(index % p.pitch);
  const int64_t pixel = index / p.pitch;
  at.column = static_cast<int>(pixel % p.ow), at.row = static_cast<int>(pixel / p.ow % p.oh);
  at.n = pixel / (int64_t{p.ow} * p.oh);
  return at;
}

__global__ void resize_nearest(const __grid_constant__ ResizeParams p) {
  grid_begin();
  const int64_t index = index_here();
  if (index >= int64_t{p.n} * p.oh * p.ow * p.pitch) return;
  const ResizePosition at = resize_position(p, index);
  static_cast<uint32_t*>(p.y)[index] =
      static_cast<const uint32_t*>(p.x)[pixel_at(p, at.n, p.rows[at.row].low, p.columns[at.column].low) + at.c];
}

/// (1 - t) * a + t * b, rounded as the CPU's: two products and a sum.
__device__ __forceinline__ float mixed(float a, float b, float t) {
  return __fadd_rn(__fmul_rn(__fsub_rn(1.0f, t), a), __fmul_rn(t, b));
}

template <class T>
__global__ void resize_linear(const __grid_constant__ ResizeParams p) {
  grid_begin();
  const int64_t index = index_here();
  if (index >= int64_t{p.n} * p.oh * p.ow * p.pitch) return;
  const ResizePosition at = resize_position(p, index);
  const ResizeTap v = p.rows[at.row], h = p.columns[at.column];
  const auto* x = static_cast<const T*>(p.x) + at.c;
  const float top =
      mixed(load_float(x + pixel_at(p, at.n, v.low, h.low)), load_float(x + pixel_at(p, at.n, v.low, h.high)), h.t);
  const float bottom =
      mixed(load_float(x + pixel_at(p, at.n, v.high, h.low)), load_float(x + pixel_at(p, at.n, v.high, h.high)), h.t);
  store_float(static_cast<T*>(p.y) + index, mixed(top, bottom, v.t));
}

template <class T>
__global__ void arg_best(const __grid_constant__ ArgParams p, const __grid_constant__ Strided outer, int64_t* y,
                         const T* x) {
  grid_begin();
  const int64_t index = index_here();
  if (index >= outer.count) return;
  int64_t at[2];
  offsets(outer, static_cast<uint32_t>(index), at);
  int64_t best = 0;
  float most = number(x + at[1]);
  for (int64_t i = 1; i < p.length; ++i) {
    const float v = number(x + at[1] + i * p.step);
    const bool better = p.smallest ? v < most : v > most;
    if (!isnan(most) && (isnan(v) || better || (p.last && v == most))) best = i, most = v;
  }
  y[at[0]] = best;
}

}  // namespace

cudaError_t launch_gather(const Strided& s, int bytes, int64_t step, void* y, const void* x, const int64_t* indices,
                          cudaStream_t stream) {
  const auto run = [&]<class T>(T) {
    return launch(gather<T>, blocks_for(s.count, k_threads), k_threads, 0, stream, s, step, static_cast<T*>(y),
                  static_cast<const T*>(x), indices);
  };
  switch (bytes) {
    case 1: return run(uint8_t{});
    case 2: return run(uint16_t{});
    case 4: return run(uint32_t{});
    case 8: return run(uint64_t{});
    default: return cudaErrorInvalidValue;
  }
}

cudaError_t launch_gather_channels(const GatherChannelsParams& p, int bytes, cudaStream_t stream) {
  const dim3 blocks = blocks_for(p.pixels * p.channels, k_threads);
  switch (bytes) {
    case 1: return launch(gather_channels<uint8_t>, blocks, k_threads, 0, stream, p);
    case 2: return launch(gather_channels<uint16_t>, blocks, k_threads, 0, stream, p);
    case 4: return launch(gather_channels<uint32_t>, blocks, k_threads, 0, stream, p);
    case 8: return launch(gather_channels<uint64_t>, blocks, k_threads, 0, stream, p);
    default: return cudaErrorInvalidValue;
  }
}

cudaError_t launch_resize_nearest(const ResizeParams& p, cudaStream_t stream) {
  return launch(resize_nearest, blocks_for(int64_t{p.n} * p.oh * p.ow * p.pitch, k_threads), k_threads, 0, stream, p);
}

cudaError_t launch_resize_linear(const ResizeParams& p, Store store, cudaStream_t stream) {
  return launch(store == Store::f16 ? resize_linear<__half> : resize_linear<float>,
                blocks_for(int64_t{p.n} * p.oh * p.ow * p.pitch, k_threads), k_threads, 0, stream, p);
}

cudaError_t launch_arg_best(const ArgParams& p, Store store, const Strided& outer, int64_t* y, const void* x,
                            cudaStream_t stream) {
  const auto run = [&]<class T>(T) {
    return launch(arg_best<T>, blocks_for(outer.count, k_threads), k_threads, 0, stream, p, outer, y,
                  static_cast<const T*>(x));
  };
  if (store == Store::u8) return run(uint8_t{});
  return store == Store::f16 ? run(__half{}) : run(float{});
}

}  // namespace octet::cuda
