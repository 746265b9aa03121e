// The first layers of a network of images as one kernel.
//
// A CTA brings the input pixels of its tile into shared memory, four bytes each, quantizing them on the way. One word
// of a window row is one word of an A fragment (m16n8k32: a thread holds four neighbouring bytes of K), so fragments
// are read straight from the pixels, whatever the stride, and a window row of up to eight pixels is one step of K. The
// codes of the convolution stay in shared memory for the pool.
#include "backends/cuda/conv_epilogue.cuh"
#include "backends/cuda/quantize.cuh"
#include "backends/cuda/stem.h"

namespace octet::cuda {
namespace {

constexpr int k_threads = 256, k_code_pitch = 80;  // bytes of a pixel's 64 codes: rows apart by odd 16-byte units

/// The code words of Batch neighbouring iterations' pixels: all loads are on their way before the first is used, since
/// the input comes from far. C: its channels, 0 = p.c of them.
template <int C, int Batch>
__device__ __forceinline__ void load_pixels(const StemParams& p, uint32_t* patch, int first, int64_t base, int y0,
                                            int x0, float scale, float inverse, int32_t zero) {
  const int64_t plane = int64_t{p.ih} * p.iw;
  float v[Batch][C > 0 ? C : 4];
  bool inside[Batch];
#pragma unroll
  for (int b = 0; b < Batch; ++b) {
    const int i = first + b * k_threads, r = div(p.by_patch_w, i), y = y0 + r, x = x0 + i - r * p.patch_w;
    inside[b] = i < p.patch_h * p.patch_w && static_cast<unsigned>(y) < static_cast<unsigned>(p.ih) &&
                static_cast<unsigned>(x) < static_cast<unsigned>(p.iw);
    const float* from = static_cast<const float*>(p.x) + base + int64_t{y} * p.iw + x;
#pragma unroll
    for (int c = 0; c < (C > 0 ? C : 4); ++c) v[b][c] = inside[b] && (C > 0 || c < p.c) ? from[c * plane] : 0.0f;
  }
#pragma unroll
  for (int b = 0; b < Batch; ++b) {
    const int i = first + b * k_threads;
    uint32_t word = quantized_word(v[b], scale, inverse, zero);
    if (C == 0) word &= 0xFFFFFFFFu >> (8 * (4 - p.c));
    if (i < p.patch_h * p.patch_w) patch[i] = inside[b] ? word : p.fill;
  }
}

/// The codes' grid, where the input are floats.
struct Grid {
  float scale, inverse;
  int32_t zero;
};
__device__ __forceinline__ Grid grid_of(const StemParams& p) {
  if (!p.scale) return {1.0f, 1.0f, 0};
  const float scale = p.scale[0];
  // A subnormal inverse would be inexact; NaN asks for the quotient everywhere.
  return {scale, scale < 0x1p125f ? __frcp_rn(scale) : __int_as_float(0x7fffffff), p.zero[0]};
}

template <int C>
__device__ __forceinline__ void load_floats(const StemParams& p, const Grid& grid, uint32_t* patch, int image, int y0,
                                            int x0) {
  constexpr int k_batch = 5;
  const int64_t base = int64_t{image} * p.ih * p.iw * p.c;
  for (int i = threadIdx.x; i < p.patch_h * p.patch_w; i += k_batch * k_threads)
    load_pixels<C, k_batch>(p, patch, i, base, y0, x0, grid.scale, grid.inverse, grid.zero);
}

__device__ __forceinline__ void load_patch(const StemParams& p, const Grid& grid, uint32_t* patch, int image, int y0,
                                           int x0) {
  if (p.scale) {
    if (p.c == 3) {
      load_floats<3>(p, grid, patch, image, y0, x0);
    } else {
      load_floats<0>(p, grid, patch, image, y0, x0);
    }
    return;
  }
  const int64_t plane = int64_t{p.ih} * p.iw;
#pragma unroll 4
  for (int i = threadIdx.x; i < p.patch_h * p.patch_w; i += k_threads) {
    const int r = div(p.by_patch_w, i), y = y0 + r, x = x0 + i - r * p.patch_w;
    const bool inside = static_cast<unsigned>(y) < static_cast<unsigned>(p.ih) &&
                        static_cast<unsigned>(x) < static_cast<unsigned>(p.iw);
    patch[i] = inside ? static_cast<const uint32_t*>(p.x)[image * plane + int64_t{y} * p.iw + x] : p.fill;
  }
}

/// Codes of 16 neighbouring channels of 2 * MI pixels; biases: of the channels, their multipliers 64 words behind.
template <int MI, bool FromZero>
__device__ __forceinline__ void finish_stem(const StemParams& p, const int32_t (&acc)[MI][8][4], const uint32_t* biases,
                                            uint32_t (&codes)[2 * MI][4]) {
#pragma unroll
  for (int q = 0; q < 4; ++q) {
    uint32_t bias[4], multiplier[4];
    load_words<4>(bias, biases + 4 * q);
    load_words<4>(multiplier, biases + 64 + 4 * q);
#pragma unroll
    for (int u = 0; u < 2 * MI; ++u) {
      float v[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int32_t sum = acc[u / 2][2 * q + i / 2][u % 2 * 2 + i % 2] + static_cast<int32_t>(bias[i]);
        v[i] =
            __fmul_rn(FromZero || p.small_sums ? small_sum(sum) : __int2float_rn(sum), __uint_as_float(multiplier[i]));
      }
      uint32_t word[1];
      if constexpr (FromZero) {
        pack_codes_from_zero<4>(v, word);
      } else {
        pack_codes<4>(p.epilogue, v, word);
      }
      codes[u][q] = word[0];
    }
  }
}

/// The largest of each of four bytes. The hardware compares halves of a word: a half's upper byte decides, so one
/// maximum is right for the upper bytes, and a second one of the lower bytes alone.
struct Largest {
  uint32_t upper = 0, lower = 0;
  __device__ __forceinline__ void take(uint32_t v) {
    upper = __vmaxu2(upper, v);
    lower = __vmaxu2(lower, v & 0x00FF00FFu);
  }
  __device__ __forceinline__ uint32_t bytes() const { return __byte_perm(upper, lower, 0x3614); }
};

template <int MI>
__global__ void __launch_bounds__(k_threads, 2) stem(const __grid_constant__ StemParams p) {
  extern __shared__ __align__(16) uint8_t shared[];
  const int w_pitch = p.kh * 32 + 16;
  auto* const biases = reinterpret_cast<uint32_t*>(shared + 64 * w_pitch);
  uint32_t* const patch = biases + 128;
  uint8_t* const codes = shared + 64 * w_pitch + 512 + (p.patch_h * p.patch_w * 4 + 15) / 16 * 16;
  const auto* w = static_cast<const uint4*>(p.w) + static_cast<int64_t>(blockIdx.y) * 64 * p.kh * 2;
  for (int i = threadIdx.x; i < 64 * p.kh * 2; i += k_threads) {
    const int row = i / (p.kh * 2);
    *reinterpret_cast<uint4*>(shared + row * w_pitch + (i - row * p.kh * 2) * 16) = w[i];
  }
  if (threadIdx.x < 128) {
    const void* const from = threadIdx.x < 64 ? static_cast<const void*>(p.bias) : p.multiplier;
    biases[threadIdx.x] = static_cast<const uint32_t*>(from)[blockIdx.y * 64 + threadIdx.x % 64];
  }
  const Grid grid = grid_of(p);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32,
            channel = static_cast<int>(blockIdx.y) * 64 + lane % 4 * 16;
  const int image = div(p.by_tiles, blockIdx.x), in_image = static_cast<int>(blockIdx.x) - image * p.by_tiles.d;
  const int tile_y = div(p.by_tiles_w, in_image), tile_x = in_image - tile_y * p.by_tiles_w.d;
  const int out_y = tile_y * p.tile_h, out_x = tile_x * p.tile_w;
  const int conv_y = out_y * p.pool_stride_h - p.pool_top, conv_x = out_x * p.pool_stride_w - p.pool_left;
  grid_wait();
  load_patch(p, grid, patch, image, conv_y * p.stride_h - p.pad_top, conv_x * p.stride_w - p.pad_left);
  grid_trigger();
  __syncthreads();

  const int pixels = p.conv_h * p.conv_w;
  const uint32_t b_at = shared_address(shared) + ((lane & 7) + (lane >> 4) * 8) * w_pitch + (lane >> 3 & 1) * 16;
  for (int m0 = warp * 16 * MI; m0 < pixels; m0 += k_threads / 32 * 16 * MI) {
    int at[MI][2];  // the window's first word, of rows lane / 4 and lane / 4 + 8
#pragma unroll
    for (int u = 0; u < 2 * MI; ++u) {
      const int i = min(m0 + u / 2 * 16 + u % 2 * 8 + lane / 4, pixels - 1), y = div(p.by_conv_w, i);
      at[u / 2][u % 2] = y * p.stride_h * p.patch_w + (i - y * p.conv_w) * p.stride_w + lane % 4;
    }
    int32_t acc[MI][8][4] = {};
    for (int k = 0; k < p.kh; ++k) {
      uint32_t a[MI][4];
#pragma unroll
      for (int mi = 0; mi < MI; ++mi) {
#pragma unroll
        for (int j = 0; j < 4; ++j) a[mi][j] = patch[at[mi][j % 2] + k * p.patch_w + j / 2 * 4];
      }
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        uint32_t b[4];
        load_matrices(b, b_at + j * 16 * w_pitch + k * 32);
#pragma unroll
        for (int mi = 0; mi < MI; ++mi) {
          mma(acc[mi][2 * j], a[mi], b[0], b[1]);
          mma(acc[mi][2 * j + 1], a[mi], b[2], b[3]);
        }
      }
    }
    uint32_t v[2 * MI][4];
    if (p.from_zero) {
      finish_stem<MI, true>(p, acc, biases + lane % 4 * 16, v);
    } else {
      finish_stem<MI, false>(p, acc, biases + lane % 4 * 16, v);
    }
#pragma unroll
    for (int u = 0; u < 2 * MI; ++u) {
      const int i = m0 + u / 2 * 16 + u % 2 * 8 + lane / 4;
      if (i >= pixels) continue;
      const int r = div(p.by_conv_w, i), y = conv_y + r, x = conv_x + i - r * p.conv_w;
      const bool inside = static_cast<unsigned>(y) < static_cast<unsigned>(p.oh) &&
                          static_cast<unsigned>(x) < static_cast<unsigned>(p.ow);
      if (p.pool) {  // what lies outside never is a window's largest
        *reinterpret_cast<uint4*>(codes + i * k_code_pitch + lane % 4 * 16) =
            inside ? make_uint4(v[u][0], v[u][1], v[u][2], v[u][3]) : make_uint4(0, 0, 0, 0);
      } else if (inside) {
        store_words<4>(static_cast<uint8_t*>(p.y) + ((int64_t{image} * p.oh + y) * p.ow + x) * p.y_pitch + channel,
                       v[u]);
      }
    }
  }
  if (!p.pool) return;
  __syncthreads();
  for (int i = threadIdx.x; i < p.tile_h * p.tile_w * 4; i += k_threads) {
    const int part = i % 4, r = div(p.by_tile_w, i / 4), c = i / 4 - r * p.tile_w;
    if (out_y + r >= p.ph || out_x + c >= p.pw) continue;
    Largest best[4];
    for (int dy = 0; dy < p.pool_kh; ++dy) {
      const int row = (r * p.pool_stride_h + dy) * p.conv_w + c * p.pool_stride_w;
      for (int dx = 0; dx < p.pool_kw; ++dx) {
        const uint4 v = *reinterpret_cast<const uint4*>(codes + (row + dx) * k_code_pitch + part * 16);
        best[0].take(v.x), best[1].take(v.y), best[2].take(v.z), best[3].take(v.w);
      }
    }
    const int64_t pixel = (int64_t{image} * p.ph + out_y + r) * p.pw + out_x + c;
    *reinterpret_cast<uint4*>(static_cast<uint8_t*>(p.y) + pixel * p.y_pitch + static_cast<int>(blockIdx.y) * 64 +
                              part * 16) =
        make_uint4(best[0].bytes(), best[1].bytes(), best[2].bytes(), best[3].bytes());
  }
}

}  // namespace

size_t shared_bytes(const StemParams& p) {
  const size_t pixels = static_cast<size_t>(p.conv_h) * static_cast<size_t>(p.conv_w);
  return 64 * static_cast<size_t>(p.kh * 32 + 16) + 512 +
         (static_cast<size_t>(p.patch_h) * static_cast<size_t>(p.patch_w) * 4 + 15) / 16 * 16 +
         (p.pool ? pixels * k_code_pitch : 0);
}

cudaError_t stem_setup() {
  const cudaError_t narrow = allow_shared(stem<1>, k_most_shared_bytes);
  return narrow == cudaSuccess ? allow_shared(stem<2>, k_most_shared_bytes) : narrow;
}

cudaError_t launch_stem(const StemParams& p, bool wide, cudaStream_t stream) {
  auto* const kernel = wide ? stem<2> : stem<1>;
  const size_t shared = shared_bytes(p);
  const unsigned tiles = static_cast<unsigned>(p.batch) * p.by_tiles.d;
  return launch(kernel, dim3(tiles, static_cast<unsigned>(p.y_pitch / 64)), dim3(k_threads), shared, stream, p);
}

}  // namespace octet::cuda
