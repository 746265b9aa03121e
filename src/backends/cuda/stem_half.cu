// The first layers of a network of images in half precision as one kernel: the caller's floats, a convolution of at
// most four channels, and the max pool behind it.
//
// As stem.cu with pixels of four halves: a window row of up to four pixels is one step of K (m16n8k16), of up to eight
// two. What the convolution makes stays in shared memory for the pool.
#include "backends/cuda/conv_epilogue.cuh"
#include "backends/cuda/mma.cuh"
#include "backends/cuda/stem.h"

namespace octet::cuda {
namespace {

constexpr int k_threads = 256, k_value_pitch = 144;  // bytes of a pixel's 64 halves: rows apart by odd 16-byte units
constexpr uint32_t k_lowest = 0xFC00FC00u;           // of two halves: what lies outside never is a window's largest

__device__ __forceinline__ uint32_t halves(float a, float b) {
  const __half2 h = __floats2half2_rn(a, b);
  return *reinterpret_cast<const uint32_t*>(&h);
}

/// Pixels of the caller's planes as four halves each, several on their way before the first is used.
__device__ __forceinline__ void load_patch(const StemParams& p, uint2* patch, int image, int y0, int x0) {
  constexpr int k_batch = 4;
  const int64_t plane = int64_t{p.ih} * p.iw;
  const float* const base = static_cast<const float*>(p.x) + image * plane * p.c;
  const int count = p.patch_h * p.patch_w;
  for (int first = threadIdx.x; first < count; first += k_batch * k_threads) {
    float v[k_batch][4];
#pragma unroll
    for (int b = 0; b < k_batch; ++b) {
      const int i = first + b * k_threads, r = div(p.by_patch_w, i), y = y0 + r, x = x0 + i - r * p.patch_w;
      const bool inside = i < count && static_cast<unsigned>(y) < static_cast<unsigned>(p.ih) &&
                          static_cast<unsigned>(x) < static_cast<unsigned>(p.iw);
      const float* from = base + int64_t{y} * p.iw + x;
#pragma unroll
      for (int c = 0; c < 4; ++c) v[b][c] = inside && c < p.c ? from[c * plane] : 0.0f;
    }
#pragma unroll
    for (int b = 0; b < k_batch; ++b)
      if (const int i = first + b * k_threads; i < count)
        patch[i] = make_uint2(halves(v[b][0], v[b][1]), halves(v[b][2], v[b][3]));
  }
}

/// 16 neighbouring channels of a pixel: act(sum + bias), no activation, ReLU (p0 = 0) or Clip. u: which of 2 * MI
/// pixels.
template <int MI>
__device__ __forceinline__ void finish(const StemParams& p, const float (&acc)[MI][8][4], int u, const float* biases,
                                       uint32_t (&words)[8]) {
  float v[16];
#pragma unroll
  for (int i = 0; i < 16; ++i) v[i] = acc[u / 2][i / 2][u % 2 * 2 + i % 2] + biases[i];
#pragma unroll
  for (int i = 0; i < 16; ++i) {
    if (p.epilogue.act != Act::none) v[i] = keep_max(v[i], p.epilogue.p0);
    if (p.epilogue.act == Act::clip) v[i] = keep_min(v[i], p.epilogue.p1);
  }
#pragma unroll
  for (int i = 0; i < 8; ++i) words[i] = halves(v[2 * i], v[2 * i + 1]);
}

/// A CTA's part of the pool: 8 channels of a pixel at a time.
__device__ __forceinline__ void pool_values(const StemParams& p, const uint8_t* values, int image, int out_y,
                                            int out_x) {
  for (int i = threadIdx.x; i < p.tile_h * p.tile_w * 8; i += k_threads) {
    const int part = i % 8, r = div(p.by_tile_w, i / 8), c = i / 8 - r * p.tile_w;
    if (out_y + r >= p.ph || out_x + c >= p.pw) continue;
    uint32_t best[4] = {k_lowest, k_lowest, k_lowest, k_lowest};
    for (int dy = 0; dy < p.pool_kh; ++dy) {
      const int row = (r * p.pool_stride_h + dy) * p.conv_w + c * p.pool_stride_w;
      for (int dx = 0; dx < p.pool_kw; ++dx) {
        const uint4 v = *reinterpret_cast<const uint4*>(values + (row + dx) * k_value_pitch + part * 16);
        const uint32_t words[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          const __half2 h =
              __hmax2_nan(*reinterpret_cast<const __half2*>(&best[j]), *reinterpret_cast<const __half2*>(&words[j]));
          best[j] = *reinterpret_cast<const uint32_t*>(&h);
        }
      }
    }
    const int64_t pixel = (int64_t{image} * p.ph + out_y + r) * p.pw + out_x + c;
    *reinterpret_cast<uint4*>(static_cast<uint8_t*>(p.y) +
                              (pixel * p.y_pitch + static_cast<int>(blockIdx.y) * 64 + part * 8) * 2) =
        make_uint4(best[0], best[1], best[2], best[3]);
  }
}

template <int MI>
__global__ void __launch_bounds__(k_threads, 2) half_stem(const __grid_constant__ StemParams p) {
  extern __shared__ __align__(16) uint8_t shared[];
  const int w_pitch = p.kh * 64 + 16;
  auto* const biases = reinterpret_cast<float*>(shared + 64 * w_pitch);
  auto* const patch = reinterpret_cast<uint2*>(biases + 64);
  uint8_t* const values = shared + 64 * w_pitch + 256 + (p.patch_h * p.patch_w * 8 + 15) / 16 * 16;
  const auto* w = static_cast<const uint4*>(p.w) + static_cast<int64_t>(blockIdx.y) * 64 * p.kh * 4;
  for (int i = threadIdx.x; i < 64 * p.kh * 4; i += k_threads) {
    const int row = i / (p.kh * 4);
    *reinterpret_cast<uint4*>(shared + row * w_pitch + (i - row * p.kh * 4) * 16) = w[i];
  }
  if (threadIdx.x < 64)
    biases[threadIdx.x] = static_cast<const float*>(static_cast<const void*>(p.bias))[blockIdx.y * 64 + threadIdx.x];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32,
            channel = static_cast<int>(blockIdx.y) * 64 + lane % 4 * 16;
  const int image = div(p.by_tiles, blockIdx.x), in_image = static_cast<int>(blockIdx.x) - image * p.by_tiles.d;
  const int tile_y = div(p.by_tiles_w, in_image), tile_x = in_image - tile_y * p.by_tiles_w.d;
  const int out_y = tile_y * p.tile_h, out_x = tile_x * p.tile_w;
  const int conv_y = out_y * p.pool_stride_h - p.pool_top, conv_x = out_x * p.pool_stride_w - p.pool_left;
  grid_wait();
  load_patch(p, patch, image, conv_y * p.stride_h - p.pad_top, conv_x * p.stride_w - p.pad_left);
  grid_trigger();
  __syncthreads();

  const int pixels = p.conv_h * p.conv_w, steps = p.kw > 4 ? 2 : 1;
  const auto* const words = reinterpret_cast<const uint32_t*>(patch);
  uint32_t kept[2][2];  // of the operand's words those of the window: what lies beyond may be no number
#pragma unroll
  for (int i = 0; i < 4; ++i) kept[i / 2][i % 2] = i / 2 * 4 + i % 2 * 2 + lane % 4 / 2 < p.kw ? 0xFFFFFFFFu : 0u;
  const uint32_t b_at = shared_address(shared) + ((lane & 7) + (lane >> 4) * 8) * w_pitch + (lane >> 3 & 1) * 16;
  for (int m0 = warp * 16 * MI; m0 < pixels; m0 += k_threads / 32 * 16 * MI) {
    int at[MI][2];  // the window's first word, of rows lane / 4 and lane / 4 + 8
#pragma unroll
    for (int u = 0; u < 2 * MI; ++u) {
      const int i = min(m0 + u / 2 * 16 + u % 2 * 8 + lane / 4, pixels - 1), y = div(p.by_conv_w, i);
      at[u / 2][u % 2] = (y * p.stride_h * p.patch_w + (i - y * p.conv_w) * p.stride_w) * 2 + lane % 4;
    }
    float acc[MI][8][4] = {};
    for (int k = 0; k < p.kh * steps; ++k) {
      const int row = steps == 2 ? k / 2 : k, step = steps == 2 ? k % 2 : 0;
      uint32_t a[MI][4];
#pragma unroll
      for (int mi = 0; mi < MI; ++mi) {
#pragma unroll
        for (int j = 0; j < 4; ++j)
          a[mi][j] = words[at[mi][j % 2] + row * p.patch_w * 2 + step * 8 + j / 2 * 4] &
                     (step == 0 ? kept[0][j / 2] : kept[1][j / 2]);
      }
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        uint32_t b[4];
        load_matrices(b, b_at + j * 16 * w_pitch + row * 64 + step * 32);
#pragma unroll
        for (int mi = 0; mi < MI; ++mi) {
          mma_f16(acc[mi][2 * j], a[mi], b[0], b[1]);
          mma_f16(acc[mi][2 * j + 1], a[mi], b[2], b[3]);
        }
      }
    }
#pragma unroll
    for (int u = 0; u < 2 * MI; ++u) {
      const int i = m0 + u / 2 * 16 + u % 2 * 8 + lane / 4;
      if (i >= pixels) continue;
      uint32_t v[8];
      finish<MI>(p, acc, u, biases + lane % 4 * 16, v);
      const int r = div(p.by_conv_w, i), y = conv_y + r, x = conv_x + i - r * p.conv_w;
      const bool inside = static_cast<unsigned>(y) < static_cast<unsigned>(p.oh) &&
                          static_cast<unsigned>(x) < static_cast<unsigned>(p.ow);
      if (!p.pool && !inside) continue;
      auto* const to = reinterpret_cast<uint4*>(
          p.pool ? values + i * k_value_pitch + lane % 4 * 32
                 : static_cast<uint8_t*>(p.y) + (((int64_t{image} * p.oh + y) * p.ow + x) * p.y_pitch + channel) * 2);
      to[0] = inside ? make_uint4(v[0], v[1], v[2], v[3]) : make_uint4(k_lowest, k_lowest, k_lowest, k_lowest);
      to[1] = inside ? make_uint4(v[4], v[5], v[6], v[7]) : make_uint4(k_lowest, k_lowest, k_lowest, k_lowest);
    }
  }
  if (!p.pool) return;
  __syncthreads();
  pool_values(p, values, image, out_y, out_x);
}

}  // namespace

size_t half_stem_bytes(const StemParams& p) {
  const size_t pixels = static_cast<size_t>(p.conv_h) * static_cast<size_t>(p.conv_w);
  return 64 * static_cast<size_t>(p.kh * 64 + 16) + 256 +
         (static_cast<size_t>(p.patch_h) * static_cast<size_t>(p.patch_w) * 8 + 15) / 16 * 16 +
         (p.pool ? pixels * k_value_pitch : 0);
}

cudaError_t half_stem_setup() {
  const cudaError_t narrow = allow_shared(half_stem<1>, k_most_shared_bytes);
  return narrow == cudaSuccess ? allow_shared(half_stem<2>, k_most_shared_bytes) : narrow;
}

cudaError_t launch_half_stem(const StemParams& p, bool wide, cudaStream_t stream) {
  auto* const kernel = wide ? half_stem<2> : half_stem<1>;
  const unsigned tiles = static_cast<unsigned>(p.batch) * p.by_tiles.d;
  return launch(kernel, dim3(tiles, static_cast<unsigned>(p.y_pitch / 64)), dim3(k_threads), half_stem_bytes(p), stream,
                p);
}

}  // namespace octet::cuda
