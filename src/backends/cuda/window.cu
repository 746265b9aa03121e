// Windows without tensor cores: depthwise convolution, pools, and the plain convolution that takes every geometry.
#include "backends/cuda/device.cuh"
#include "backends/cuda/launch.h"

namespace octet::cuda {
namespace {

constexpr int k_threads = 256;

__device__ __forceinline__ void store_output(const WindowParams& p, size_t at, float v) {
  if (p.epilogue.to == Store::u8) {
    static_cast<uint8_t*>(p.y)[at] = static_cast<uint8_t>(output_code(p.epilogue, v));
  } else if (p.epilogue.to == Store::f32) {
    static_cast<float*>(p.y)[at] = output_value(p.epilogue, v);
  } else {
    static_cast<__half*>(p.y)[at] = __float2half_rn(output_value(p.epilogue, v));
  }
}

/// Output (n, oh, ow, channel) of a linear index, channels innermost.
struct Position {
  int n, oh, ow, c;
  int64_t pixel;
};
__device__ __forceinline__ Position position(const WindowParams& p, int64_t index, int channels) {
  Position at;
  at.c = static_cast<int>(index % channels);
  at.pixel = index / channels;
  at.ow = static_cast<int>(at.pixel % p.ow);
  at.oh = static_cast<int>(at.pixel / p.ow % p.oh);
  at.n = static_cast<int>(at.pixel / (int64_t{p.ow} * p.oh));
  return at;
}
__device__ __forceinline__ int64_t index_here() { return int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }

__global__ void direct_u8s8(const __grid_constant__ WindowParams p) {
  grid_begin();
  const int64_t index = index_here();
  if (index >= int64_t{p.batch} * p.oh * p.ow * p.oc) return;
  const Position at = position(p, index, p.oc);
  const int per_group = p.c / p.groups, first = at.c / (p.oc / p.groups) * per_group;
  const auto* x = static_cast<const uint8_t*>(p.x);
  const auto* w = static_cast<const int8_t*>(p.w) + int64_t{at.c} * per_group * p.kh * p.kw;
  int32_t acc = p.bias ? static_cast<const int32_t*>(p.bias)[at.c] : 0;
  for (int i = 0; i < p.kh; ++i) {
    const int ih = at.oh * p.stride_h - p.pad_top + i * p.dilation_h;
    if (ih < 0 || ih >= p.ih) continue;
    for (int j = 0; j < p.kw; ++j) {
      const int iw = at.ow * p.stride_w - p.pad_left + j * p.dilation_w;
      if (iw < 0 || iw >= p.iw) continue;
      const uint8_t* from = x + ((int64_t{at.n} * p.ih + ih) * p.iw + iw) * p.x_pitch + first;
      for (int c = 0; c < per_group; ++c) acc += (from[c] - p.x_zero) * w[(c * p.kh + i) * p.kw + j];
    }
  }
  float v;
  if (p.epilogue.has_residual) {
    const int r = static_cast<const uint8_t*>(p.residual)[at.pixel * p.r_pitch + at.c] - p.epilogue.r_zero;
    v = scaled(acc, p.multiplier[at.c], r, p.epilogue.r_multiplier);
  } else {
    v = scaled(acc, p.multiplier[at.c]);
  }
  store_output(p, at.pixel * p.y_pitch + at.c, v);
}

template <class T>
__global__ void direct_float(const __grid_constant__ WindowParams p) {
  grid_begin();
  const int64_t index = index_here();
  if (index >= int64_t{p.batch} * p.oh * p.ow * p.oc) return;
  const Position at = position(p, index, p.oc);
  const int per_group = p.c / p.groups, first = at.c / (p.oc / p.groups) * per_group;
  const auto* x = static_cast<const T*>(p.x);
  const auto* w = static_cast<const float*>(p.w) + int64_t{at.c} * per_group * p.kh * p.kw;
  float acc = 0;
  for (int i = 0; i < p.kh; ++i) {
    const int ih = at.oh * p.stride_h - p.pad_top + i * p.dilation_h;
    if (ih < 0 || ih >= p.ih) continue;
    for (int j = 0; j < p.kw; ++j) {
      const int iw = at.ow * p.stride_w - p.pad_left + j * p.dilation_w;
      if (iw < 0 || iw >= p.iw) continue;
      const T* from = x + ((int64_t{at.n} * p.ih + ih) * p.iw + iw) * p.x_pitch + first;
      for (int c = 0; c < per_group; ++c) acc = __fmaf_rn(load_float(from + c), w[(c * p.kh + i) * p.kw + j], acc);
    }
  }
  acc += p.bias ? static_cast<const float*>(p.bias)[at.c] : 0.0f;
  if (p.epilogue.has_residual) acc += load_float(static_cast<const T*>(p.residual) + at.pixel * p.r_pitch + at.c);
  store_float(static_cast<T*>(p.y) + at.pixel * p.y_pitch + at.c, output_value(p.epilogue, acc));
}

/// Four channels of Outputs neighbouring pixels a thread. Weights: [kh * kw][x_pitch] s8. The zero point is taken off
/// by the bias where the whole window lies inside, so x_zero stands in for what lies outside.
template <int Outputs>
__global__ void depthwise_u8s8(const __grid_constant__ WindowParams p) {
  const int words = p.y_pitch / 4, strips = (p.ow + Outputs - 1) / Outputs;
  const int64_t index = index_here();
  if (index >= int64_t{p.batch} * p.oh * strips * words) {
    grid_begin();
    return;
  }
  const int word = static_cast<int>(index % words);
  const int64_t strip = index / words;
  const int ow0 = static_cast<int>(strip % strips) * Outputs;
  const int64_t row = strip / strips;
  const int oh = static_cast<int>(row % p.oh), n = static_cast<int>(row / p.oh);
  const int4 bias = static_cast<const int4*>(p.bias)[word];
  const float4 m4 = reinterpret_cast<const float4*>(p.multiplier)[word];
  const float m[4] = {m4.x, m4.y, m4.z, m4.w};
  const auto* w = static_cast<const uint32_t*>(p.w) + word;
  const uint32_t outside = static_cast<uint32_t>(p.x_zero) * 0x01010101u;
  int32_t acc[Outputs][4];
#pragma unroll
  for (int o = 0; o < Outputs; ++o) acc[o][0] = bias.x, acc[o][1] = bias.y, acc[o][2] = bias.z, acc[o][3] = bias.w;
  grid_begin();
  const auto* x = static_cast<const uint8_t*>(p.x) + int64_t{n} * p.ih * p.iw * p.x_pitch + word * 4;
  for (int i = 0; i < p.kh; ++i) {
    const int ih = oh * p.stride_h - p.pad_top + i * p.dilation_h;
    const bool row_inside = ih >= 0 && ih < p.ih;
    for (int j = 0; j < p.kw; ++j) {
      const uint32_t wt = w[(i * p.kw + j) * (p.x_pitch / 4)];  // y of floats may have another pitch
      const int w0 = static_cast<int8_t>(wt), w1 = static_cast<int8_t>(wt >> 8), w2 = static_cast<int8_t>(wt >> 16),
                w3 = static_cast<int8_t>(wt >> 24);
#pragma unroll
      for (int o = 0; o < Outputs; ++o) {
        const int iw = (ow0 + o) * p.stride_w - p.pad_left + j * p.dilation_w;
        uint32_t v = outside;
        if (row_inside && iw >= 0 && iw < p.iw)
          v = *reinterpret_cast<const uint32_t*>(x + (int64_t{ih} * p.iw + iw) * p.x_pitch);
        acc[o][0] += static_cast<int>(v & 255) * w0;
        acc[o][1] += static_cast<int>(v >> 8 & 255) * w1;
        acc[o][2] += static_cast<int>(v >> 16 & 255) * w2;
        acc[o][3] += static_cast<int>(v >> 24) * w3;
      }
    }
  }
#pragma unroll
  for (int o = 0; o < Outputs; ++o) {
    if (ow0 + o >= p.ow) break;
    const int64_t pixel = row * p.ow + ow0 + o;
    float v[4];
    if (p.epilogue.has_residual) {
      const uint32_t r =
          *reinterpret_cast<const uint32_t*>(static_cast<const uint8_t*>(p.residual) + pixel * p.r_pitch + word * 4);
#pragma unroll
      for (int c = 0; c < 4; ++c)
        v[c] = scaled(acc[o][c], m[c], static_cast<int32_t>(r >> (8 * c) & 255) - p.epilogue.r_zero,
                      p.epilogue.r_multiplier);
    } else {
#pragma unroll
      for (int c = 0; c < 4; ++c) v[c] = scaled(acc[o][c], m[c]);
    }
    if (p.epilogue.to == Store::u8) {
      uint32_t y = 0;
#pragma unroll
      for (int c = 0; c < 4; ++c) y |= static_cast<uint32_t>(output_code(p.epilogue, v[c])) << (8 * c);
      *reinterpret_cast<uint32_t*>(static_cast<uint8_t*>(p.y) + pixel * p.y_pitch + word * 4) = y;
    } else {
#pragma unroll
      for (int c = 0; c < 4; ++c) store_output(p, pixel * p.y_pitch + word * 4 + c, v[c]);
    }
  }
}

/// u8 x s8, four products added to c.
__device__ __forceinline__ int32_t dot4(uint32_t x, uint32_t w, int32_t c) {
  int32_t d;
  asm("dp4a.u32.s32 %0, %1, %2, %3;" : "=r"(d) : "r"(x), "r"(w), "r"(c));
  return d;
}
/// Four pixels of four channels as four channels of four pixels.
__device__ __forceinline__ void transpose(const uint32_t (&pixel)[4], uint32_t (&channel)[4]) {
  const uint32_t a = __byte_perm(pixel[0], pixel[1], 0x5140), b = __byte_perm(pixel[2], pixel[3], 0x5140);
  const uint32_t c = __byte_perm(pixel[0], pixel[1], 0x7362), d = __byte_perm(pixel[2], pixel[3], 0x7362);
  channel[0] = __byte_perm(a, b, 0x5410), channel[1] = __byte_perm(a, b, 0x7632);
  channel[2] = __byte_perm(c, d, 0x5410), channel[3] = __byte_perm(c, d, 0x7632);
}

/// Windows of 3x3, dilation 1: four channels of four neighbouring outputs a thread. The pixels of a window row are
/// turned to one word per channel, so that three taps are one dot product. Weights: [3][x_pitch] words of three taps
/// and a zero.
template <int Stride>
__global__ void __launch_bounds__(128) depthwise_3x3_u8s8(const __grid_constant__ WindowParams p) {
  constexpr int k_outputs = 4, k_pixels = Stride == 1 ? 8 : 12, k_needed = (k_outputs - 1) * Stride + 3;
  const int words = p.y_pitch / 4, strips = (p.ow + k_outputs - 1) / k_outputs;
  const int64_t index = index_here();
  if (index >= int64_t{p.batch} * p.oh * strips * words) {
    grid_begin();
    return;
  }
  const int word = static_cast<int>(index % words), strip = static_cast<int>(index / words % strips);
  const int64_t row = index / words / strips;
  const int oh = static_cast<int>(row % p.oh), n = static_cast<int>(row / p.oh), ow0 = strip * k_outputs;
  uint4 w[3];
#pragma unroll
  for (int i = 0; i < 3; ++i) w[i] = static_cast<const uint4*>(p.w)[i * (p.x_pitch / 4) + word];
  const int4 bias = static_cast<const int4*>(p.bias)[word];
  const float4 m4 = reinterpret_cast<const float4*>(p.multiplier)[word];
  const uint32_t outside = static_cast<uint32_t>(p.x_zero) * 0x01010101u;
  int32_t acc[k_outputs][4];
#pragma unroll
  for (int o = 0; o < k_outputs; ++o) acc[o][0] = bias.x, acc[o][1] = bias.y, acc[o][2] = bias.z, acc[o][3] = bias.w;
  grid_begin();
  const auto* x = static_cast<const uint8_t*>(p.x) + int64_t{n} * p.ih * p.iw * p.x_pitch + word * 4;
  const int iw0 = ow0 * Stride - p.pad_left;
  uint32_t pixel[3][k_pixels];
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    const int ih = oh * Stride - p.pad_top + i;
    const bool row_inside = ih >= 0 && ih < p.ih;
    const uint8_t* from = x + (int64_t{ih} * p.iw + iw0) * p.x_pitch;
#pragma unroll
    for (int j = 0; j < k_pixels; ++j) {
      pixel[i][j] = outside;
      if (j < k_needed && row_inside && iw0 + j >= 0 && iw0 + j < p.iw)
        pixel[i][j] = *reinterpret_cast<const uint32_t*>(from + j * p.x_pitch);
    }
  }
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    uint32_t channel[k_pixels / 4][4];
#pragma unroll
    for (int q = 0; q < k_pixels / 4; ++q)
      transpose({pixel[i][4 * q], pixel[i][4 * q + 1], pixel[i][4 * q + 2], pixel[i][4 * q + 3]}, channel[q]);
    const uint32_t wc[4] = {w[i].x, w[i].y, w[i].z, w[i].w};
#pragma unroll
    for (int o = 0; o < k_outputs; ++o) {
      const int first = o * Stride;
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        const uint32_t taps = first % 4 == 0
                                  ? channel[first / 4][c]
                                  : __funnelshift_r(channel[first / 4][c], channel[first / 4 + 1][c], 8 * (first % 4));
        acc[o][c] = dot4(taps, wc[c], acc[o][c]);
      }
    }
  }
  const float m[4] = {m4.x, m4.y, m4.z, m4.w};
  const Epilogue& e = p.epilogue;
  const float lo = static_cast<float>(e.lo - e.y_zero), hi = static_cast<float>(e.hi - e.y_zero);
  const uint32_t zero = static_cast<uint32_t>(e.y_zero) * 0x01010101u;
#pragma unroll
  for (int o = 0; o < k_outputs; ++o) {
    if (ow0 + o >= p.ow) break;
    const size_t at = (row * p.ow + ow0 + o) * p.y_pitch + word * 4;
    if (e.to == Store::u8 && !e.on_values) {
      uint32_t q[4];
#pragma unroll
      for (int c = 0; c < 4; ++c)
        q[c] = __float_as_uint(__fadd_rn(fminf(fmaxf(scaled(acc[o][c], m[c]), lo), hi), 12582912.0f));
      *reinterpret_cast<uint32_t*>(static_cast<uint8_t*>(p.y) + at) =
          __vadd4(__byte_perm(__byte_perm(q[0], q[1], 0x0040), __byte_perm(q[2], q[3], 0x0040), 0x5410), zero);
    } else {
#pragma unroll
      for (int c = 0; c < 4; ++c) store_output(p, at + c, scaled(acc[o][c], m[c]));
    }
  }
}

/// Taps [begin, end) of output o that lie inside, and how many lie inside the padded input.
struct Taps {
  int begin, end, padded;
};
__device__ __forceinline__ Taps taps(int o, int kernel, int stride, int dilation, int pad_begin, int pad_end, int in) {
  const int start = o * stride - pad_begin;
  Taps t{0, 0, 0};
  for (int k = 0; k < kernel; ++k) {
    const int i = start + k * dilation;
    if (i < 0) t.begin = k + 1;
    if (i < in) t.end = k + 1;
    if (i < in + pad_end) t.padded = k + 1;
  }
  if (t.end < t.begin) t.end = t.begin;
  return t;
}

template <class V>
struct Maximum;
template <>
struct Maximum<uint4> {
  static __device__ uint4 lowest() { return make_uint4(0, 0, 0, 0); }
  static __device__ uint4 of(uint4 a, uint4 b) {
    return make_uint4(__vmaxu4(a.x, b.x), __vmaxu4(a.y, b.y), __vmaxu4(a.z, b.z), __vmaxu4(a.w, b.w));
  }
};
template <>
struct Maximum<uint32_t> {
  static __device__ uint32_t lowest() { return 0; }
  static __device__ uint32_t of(uint32_t a, uint32_t b) { return __vmaxu4(a, b); }
};
struct alignas(16) Half8 {
  __half2 pair[4];
};
template <>
struct Maximum<Half8> {
  static __device__ Half8 lowest() {
    const __half2 low = __half2half2(__ushort_as_half(0xfc00));
    return {{low, low, low, low}};
  }
  static __device__ Half8 of(Half8 a, Half8 b) {
    for (int i = 0; i < 4; ++i) a.pair[i] = __hmax2_nan(a.pair[i], b.pair[i]);
    return a;
  }
};
template <>
struct Maximum<float4> {
  static __device__ float largest(float a, float b) { return isnan(b) || b > a ? b : a; }
  static __device__ float4 lowest() { return make_float4(-INFINITY, -INFINITY, -INFINITY, -INFINITY); }
  static __device__ float4 of(float4 a, float4 b) {
    return make_float4(largest(a.x, b.x), largest(a.y, b.y), largest(a.z, b.z), largest(a.w, b.w));
  }
};
/// V: what a thread takes of a pixel; channels: pitch in V.
template <class V>
__global__ void max_pool(const __grid_constant__ WindowParams p, int channels) {
  grid_begin();
  const int64_t index = index_here();
  if (index >= int64_t{p.batch} * p.oh * p.ow * channels) return;
  const Position at = position(p, index, channels);
  const Taps h = taps(at.oh, p.kh, p.stride_h, p.dilation_h, p.pad_top, 0, p.ih);
  const Taps w = taps(at.ow, p.kw, p.stride_w, p.dilation_w, p.pad_left, 0, p.iw);
  const auto* x = static_cast<const V*>(p.x);
  V best = Maximum<V>::lowest();
  for (int i = h.begin; i < h.end; ++i) {
    const int ih = at.oh * p.stride_h - p.pad_top + i * p.dilation_h;
    for (int j = w.begin; j < w.end; ++j) {
      const int iw = at.ow * p.stride_w - p.pad_left + j * p.dilation_w;
      best = Maximum<V>::of(best, x[((int64_t{at.n} * p.ih + ih) * p.iw + iw) * channels + at.c]);
    }
  }
  static_cast<V*>(p.y)[index] = best;
}

template <class T>
__global__ void average_pool(const __grid_constant__ WindowParams p) {
  grid_begin();
  const int64_t index = index_here();
  if (index >= int64_t{p.batch} * p.oh * p.ow * p.c) return;
  const Position at = position(p, index, p.c);
  const Taps h = taps(at.oh, p.kh, p.stride_h, p.dilation_h, p.pad_top, p.pad_bottom, p.ih);
  const Taps w = taps(at.ow, p.kw, p.stride_w, p.dilation_w, p.pad_left, p.pad_right, p.iw);
  const int inside = (h.end - h.begin) * (w.end - w.begin);
  const int count = max(p.include_pad ? h.padded * w.padded : inside, 1);
  const auto* x = static_cast<const T*>(p.x);
  int32_t codes = 0;
  float values = 0;
  for (int i = h.begin; i < h.end; ++i) {
    const int ih = at.oh * p.stride_h - p.pad_top + i * p.dilation_h;
    for (int j = w.begin; j < w.end; ++j) {
      const int iw = at.ow * p.stride_w - p.pad_left + j * p.dilation_w;
      const T* from = x + ((int64_t{at.n} * p.ih + ih) * p.iw + iw) * p.x_pitch + at.c;
      if constexpr (sizeof(T) == 1) {
        codes += *from - p.x_zero;
      } else {
        values += load_float(from);
      }
    }
  }
  const size_t y_at = at.pixel * p.y_pitch + at.c;
  if constexpr (sizeof(T) == 1) {
    store_output(p, y_at, scaled(codes, static_cast<float>(p.x_scale / (p.y_scale * count))));
  } else {
    store_float(static_cast<T*>(p.y) + y_at, values / static_cast<float>(count));
  }
}

/// 128 channels of one image a block: 32 lanes of four channels, 8 rows of threads over the pixels.
__global__ void global_average_u8(const __grid_constant__ WindowParams p) {
  grid_begin();
  __shared__ int32_t sums[8][128];
  const int lane = threadIdx.x % 32, row = threadIdx.x / 32;
  const int channel = blockIdx.x * 128 + lane * 4, plane = p.ih * p.iw;
  int32_t sum[4] = {};
  if (channel < p.x_pitch) {
    const auto* x = static_cast<const uint8_t*>(p.x) + int64_t{blockIdx.y} * plane * p.x_pitch + channel;
#pragma unroll 4
    for (int i = row; i < plane; i += 8) {
      const uint32_t v = *reinterpret_cast<const uint32_t*>(x + int64_t{i} * p.x_pitch);
      for (int c = 0; c < 4; ++c) sum[c] += static_cast<int>(v >> (8 * c) & 255);
    }
  }
  for (int c = 0; c < 4; ++c) sums[row][lane * 4 + c] = sum[c];
  __syncthreads();
  const int c = blockIdx.x * 128 + threadIdx.x;
  if (threadIdx.x >= 128 || c >= p.c) return;
  int32_t acc = -plane * p.x_zero;
  for (int r = 0; r < 8; ++r) acc += sums[r][threadIdx.x];
  const float m = static_cast<float>(p.x_scale / (p.y_scale * plane));
  store_output(p, int64_t{blockIdx.y} * p.y_pitch + c, scaled(acc, m));
}

/// Small kernels take the convolutions' split of L1 and shared memory, so that they can follow each other without
/// draining the chip; large ones want their L1.
template <class... Params, class... Args>
cudaError_t launch_beside_convolutions(void (*kernel)(Params...), int64_t threads, dim3 grid, int block,
                                       cudaStream_t stream, Args... args) {
  const int share = threads < 400000 ? cudaSharedmemCarveoutMaxShared : cudaSharedmemCarveoutDefault;
  const cudaError_t set = cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout, share);
  return set == cudaSuccess ? launch(kernel, grid, block, 0, stream, args...) : set;
}

int64_t outputs(const WindowParams& p, int64_t channels) { return int64_t{p.batch} * p.oh * p.ow * channels; }

}  // namespace

cudaError_t launch_direct_u8s8(const WindowParams& p, cudaStream_t stream) {
  return launch(direct_u8s8, blocks_for(outputs(p, p.oc), k_threads), k_threads, 0, stream, p);
}

cudaError_t launch_direct_float(const WindowParams& p, Store store, cudaStream_t stream) {
  return launch(store == Store::f16 ? direct_float<__half> : direct_float<float>,
                blocks_for(outputs(p, p.oc), k_threads), k_threads, 0, stream, p);
}

cudaError_t launch_depthwise_u8s8(const WindowParams& p, cudaStream_t stream) {
  const int words = p.y_pitch / 4;
  const int64_t all = outputs(p, words);
  if (p.w_by_rows) {
    const int64_t threads = int64_t{p.batch} * p.oh * ((p.ow + 3) / 4) * words;
    return launch_beside_convolutions(p.stride_h == 1 ? depthwise_3x3_u8s8<1> : depthwise_3x3_u8s8<2>, threads,
                                      blocks_for(threads, 128), 128, stream, p);
  }
  if (all < 200000) return launch(depthwise_u8s8<1>, blocks_for(all, 128), 128, 0, stream, p);
  return launch(depthwise_u8s8<4>, blocks_for(int64_t{p.batch} * p.oh * ((p.ow + 3) / 4) * words, 128), 128, 0, stream,
                p);
}

cudaError_t launch_max_pool(const WindowParams& p, Store store, cudaStream_t stream) {
  if (store == Store::f32)
    return launch(max_pool<float4>, blocks_for(outputs(p, p.x_pitch / 4), k_threads), k_threads, 0, stream, p,
                  p.x_pitch / 4);
  if (store == Store::f16)
    return launch(max_pool<Half8>, blocks_for(outputs(p, p.x_pitch / 8), k_threads), k_threads, 0, stream, p,
                  p.x_pitch / 8);
  if (p.x_pitch % 16 == 0)
    return launch_beside_convolutions(max_pool<uint4>, outputs(p, p.x_pitch / 16),
                                      blocks_for(outputs(p, p.x_pitch / 16), k_threads), k_threads, stream, p,
                                      p.x_pitch / 16);
  return launch(max_pool<uint32_t>, blocks_for(outputs(p, p.x_pitch / 4), k_threads), k_threads, 0, stream, p,
                p.x_pitch / 4);
}

cudaError_t launch_average_pool(const WindowParams& p, Store store, cudaStream_t stream) {
  const dim3 grid = blocks_for(outputs(p, p.c), k_threads);
  switch (store) {
    case Store::u8: return launch(average_pool<uint8_t>, grid, k_threads, 0, stream, p);
    case Store::f32: return launch(average_pool<float>, grid, k_threads, 0, stream, p);
    case Store::f16: return launch(average_pool<__half>, grid, k_threads, 0, stream, p);
  }
  return cudaErrorInvalidValue;
}

cudaError_t launch_global_average_u8(const WindowParams& p, cudaStream_t stream) {
  return launch_beside_convolutions(
      global_average_u8, int64_t{p.batch} * p.c,
      dim3(static_cast<unsigned>((p.x_pitch + 127) / 128), static_cast<unsigned>(p.batch)), 256, stream, p);
}

}  // namespace octet::cuda
