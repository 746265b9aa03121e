// Integer ops whose operands or zero points are known at run time only: products of two activations on tensor cores,
// ConvInteger, DynamicQuantizeLinear, Cast.
#include "backends/cuda/integer_products.h"

#include "backends/cuda/mma.cuh"

namespace octet::cuda {
namespace {

constexpr int k_threads = 256;

__device__ __forceinline__ int32_t value_of(const ZeroPoint& z) { return z.at ? *z.at : z.value; }
__device__ __forceinline__ int64_t index_here() { return int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }

// ---- products of two matrices of codes ----
//
//   sum (a - za)(b - zb) = sum a b - zb sum a - za sum b + K za zb
//
// The sums of a's rows and b's columns come from the tensor cores too, as products with ones.

constexpr int k_tile = 64, k_depth = 64;  // outputs of a CTA, bytes of K at a time
constexpr uint32_t k_ones = 0x01010101u;

__device__ __forceinline__ void mma_u8u8(int32_t (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.u8.u8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// Four codes from index k of K on, `step` bytes apart; 0 beyond K.
__device__ __forceinline__ uint32_t load_codes(const uint8_t* row, int k, int count, int64_t step) {
  const uint8_t* from = row + k * step;
  if (step == 1 && k + 4 <= count && (reinterpret_cast<uintptr_t>(from) & 3) == 0)
    return *reinterpret_cast<const uint32_t*>(from);
  uint32_t word = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i)
    if (k + i < count) word |= static_cast<uint32_t>(from[i * step]) << (8 * i);
  return word;
}

/// Rows first .. first + 63 of `rows`, K bytes k0 .. k0 + 63, into a swizzled tile. Neighbouring threads take what is
/// nearer in memory.
__device__ __forceinline__ void load_tile(uint8_t* tile, const uint8_t* x, int first, int rows, int64_t row_step,
                                          int k0, int k, int64_t k_step) {
  constexpr int k_words = k_depth / 4;
  for (int t = threadIdx.x; t < k_tile * k_words; t += 128) {
    const bool along_k = k_step <= row_step;
    const int row = along_k ? t / k_words : t % k_tile, word = along_k ? t % k_words : t / k_tile;
    const uint32_t codes = first + row < rows ? load_codes(x + (first + row) * row_step, k0 + 4 * word, k, k_step) : 0u;
    *reinterpret_cast<uint32_t*>(tile + swizzled<k_depth>(row, word / 4) + word % 4 * 4) = codes;
  }
}

__device__ __forceinline__ void store_sum(const IntegerMatMulParams& p, void* y, int64_t at, int32_t sum) {
  if (p.raw) {
    static_cast<int32_t*>(y)[at] = sum;
    return;
  }
  const float v = scaled(sum, p.multiplier);
  if (p.epilogue.to == Store::u8) {
    static_cast<uint8_t*>(y)[at] = static_cast<uint8_t>(output_code(p.epilogue, v));
  } else if (p.epilogue.to == Store::f32) {
    static_cast<float*>(y)[at] = output_value(p.epilogue, v);
  } else {
    static_cast<__half*>(y)[at] = __float2half_rn(output_value(p.epilogue, v));
  }
}

__global__ void __launch_bounds__(128)
    integer_matmul(const __grid_constant__ Strided batch, const __grid_constant__ IntegerMatMulParams p, void* y,
                   const uint8_t* a, const uint8_t* b) {
  __shared__ __align__(128) uint8_t tile_a[k_tile * k_depth], tile_b[k_tile * k_depth];
  grid_begin();
  const MatMulParams& s = p.shape;
  int64_t at[3];
  offsets(batch, blockIdx.z, at);
  const int m0 = static_cast<int>(blockIdx.y) * k_tile, n0 = static_cast<int>(blockIdx.x) * k_tile;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, wm = warp / 2 * 32, wn = warp % 2 * 32;
  const uint32_t from_a = shared_address(tile_a), from_b = shared_address(tile_b);
  const uint32_t ones[4] = {k_ones, k_ones, k_ones, k_ones};
  int32_t acc[2][4][4] = {}, rows[2][4] = {}, columns[4][4] = {};
  for (int k0 = 0; k0 < s.k; k0 += k_depth) {
    load_tile(tile_a, a + at[1], m0, s.m, s.a_row, k0, s.k, s.a_col);
    load_tile(tile_b, b + at[2], n0, s.n, s.b_col, k0, s.k, s.b_row);
    __syncthreads();
#pragma unroll
    for (int k = 0; k < k_depth / 32; ++k) {
      uint32_t fa[2][4], fb[2][4];
#pragma unroll
      for (int i = 0; i < 2; ++i)
        load_matrices(fa[i], from_a + swizzled<k_depth>(wm + i * 16 + (lane & 15), 2 * k + (lane >> 4)));
#pragma unroll
      for (int j = 0; j < 2; ++j)
        load_matrices(fb[j],
                      from_b + swizzled<k_depth>(wn + j * 16 + (lane & 7) + (lane >> 4) * 8, 2 * k + (lane >> 3 & 1)));
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const uint32_t b0 = fb[j / 2][j % 2 * 2], b1 = fb[j / 2][j % 2 * 2 + 1];
        mma_u8u8(columns[j], ones, b0, b1);
#pragma unroll
        for (int i = 0; i < 2; ++i) mma_u8u8(acc[i][j], fa[i], b0, b1);
      }
#pragma unroll
      for (int i = 0; i < 2; ++i) mma_u8u8(rows[i], fa[i], k_ones, k_ones);
    }
    __syncthreads();
  }
  const int32_t za = value_of(p.a_zero), zb = value_of(p.b_zero);
#pragma unroll
  for (int i = 0; i < 2; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int m = m0 + wm + i * 16 + lane / 4 + e / 2 * 8, n = n0 + wn + j * 8 + lane % 4 * 2 + e % 2;
        if (m >= s.m || n >= s.n) continue;
        const int32_t sum = acc[i][j][e] - zb * rows[i][e] - za * columns[j][e] + s.k * za * zb;
        store_sum(p, y, at[0] + m * s.y_row + n * s.y_col, sum);
      }
    }
  }
}

// ---- ConvInteger ----

__global__ void conv_integer(const __grid_constant__ WindowParams p, const __grid_constant__ ZeroPoint x_zero) {
  grid_begin();
  const int64_t index = index_here();
  if (index >= int64_t{p.batch} * p.oh * p.ow * p.oc) return;
  const int oc = static_cast<int>(index % p.oc);
  const int64_t pixel = index / p.oc;
  const int ow = static_cast<int>(pixel % p.ow), oh = static_cast<int>(pixel / p.ow % p.oh);
  const int64_t image = pixel / (int64_t{p.ow} * p.oh);
  const int zero = value_of(x_zero), per_group = p.c / p.groups, first = oc / (p.oc / p.groups) * per_group;
  const auto* x = static_cast<const uint8_t*>(p.x) + image * p.ih * p.iw * p.x_pitch + first;
  const auto* w = static_cast<const int16_t*>(p.w) + oc;
  int32_t sum = 0;
  for (int i = 0; i < p.kh; ++i) {
    const int ih = oh * p.stride_h - p.pad_top + i * p.dilation_h;
    for (int j = 0; j < p.kw; ++j) {
      const int iw = ow * p.stride_w - p.pad_left + j * p.dilation_w;
      if (static_cast<unsigned>(ih) >= static_cast<unsigned>(p.ih) ||
          static_cast<unsigned>(iw) >= static_cast<unsigned>(p.iw))
        continue;
      const uint8_t* from = x + (int64_t{ih} * p.iw + iw) * p.x_pitch;
      const int16_t* weights = w + int64_t{i * p.kw + j} * per_group * p.oc;
      for (int c = 0; c < per_group; ++c) sum += (from[c] - zero) * weights[int64_t{c} * p.oc];
    }
  }
  static_cast<int32_t*>(p.y)[pixel * p.y_pitch + oc] = sum;
}

// ---- DynamicQuantizeLinear ----

/// The bits of floats that are not negative are ordered as the floats are.
__global__ void __launch_bounds__(k_threads)
    range_of(const __grid_constant__ Strided s, int32_t* range, const float* x) {
  grid_begin();
  float low = 0, high = 0;
  for (int64_t i = index_here(); i < s.count; i += int64_t{gridDim.x} * blockDim.x) {
    int64_t at[2];
    offsets(s, static_cast<uint32_t>(i), at);
    const float v = x[at[1]];
    low = v < low ? v : low;
    high = v > high ? v : high;
  }
  for (int step = 16; step > 0; step /= 2) {
    low = fminf(low, __shfl_xor_sync(~0u, low, step));
    high = fmaxf(high, __shfl_xor_sync(~0u, high, step));
  }
  if (threadIdx.x % 32 != 0) return;
  atomicMax(&range[0], __float_as_int(low == 0.0f ? 0.0f : -low));
  atomicMax(&range[1], __float_as_int(high == 0.0f ? 0.0f : high));
}

__device__ __forceinline__ float saturated_code(float v) { return isnan(v) ? 0.0f : fminf(fmaxf(v, 0.0f), 255.0f); }

__global__ void __launch_bounds__(k_threads)
    quantize_range(const __grid_constant__ Strided s, uint8_t* y, float* scale_at, uint8_t* zero_at, const float* x,
                   int32_t* range, int32_t* arrived) {
  grid_begin();
  const float low = -__int_as_float(range[0]), high = __int_as_float(range[1]);
  const float scale = high == low ? 1.0f : __fdiv_rn(__fsub_rn(high, low), 255.0f);
  const float zero = saturated_code(rintf(__fdiv_rn(-low, scale)));
  for (int64_t i = index_here(); i < s.count; i += int64_t{gridDim.x} * blockDim.x) {
    int64_t at[2];
    offsets(s, static_cast<uint32_t>(i), at);
    const float v = x[at[1]];
    y[at[0]] = static_cast<uint8_t>(isnan(v) ? zero : saturated_code(__fadd_rn(rintf(__fdiv_rn(v, scale)), zero)));
  }
  if (blockIdx.x == 0 && threadIdx.x == 0) *scale_at = scale, *zero_at = static_cast<uint8_t>(zero);
  __syncthreads();  // all of this CTA have read the range
  if (threadIdx.x != 0) return;
  if (atomicAdd(arrived, 1) == static_cast<int>(gridDim.x) - 1) range[0] = 0, range[1] = 0, *arrived = 0;
}

// ---- Cast ----

__device__ __forceinline__ bool is_float(Number n) { return n == Number::f32 || n == Number::f16; }
__device__ __forceinline__ int64_t load_integer(Number type, const void* x, int64_t at) {
  switch (type) {
    case Number::s32: return static_cast<const int32_t*>(x)[at];
    case Number::s64: return static_cast<const int64_t*>(x)[at];
    case Number::s8: return static_cast<int64_t>(static_cast<const uint8_t*>(x)[at]) - 128;
    default: return static_cast<const uint8_t*>(x)[at];
  }
}
/// Truncated; what does not fit is the nearest that does, NaN is 0.
__device__ __forceinline__ int64_t truncated(float v, Number to) {
  if (isnan(v)) return 0;
  switch (to) {
    case Number::s32: return __float2int_rz(v);
    case Number::s64: return __float2ll_rz(v);
    case Number::s8: return __float2int_rz(fminf(fmaxf(v, -128.0f), 127.0f));
    default: return __float2int_rz(fminf(fmaxf(v, 0.0f), 255.0f));
  }
}
__device__ __forceinline__ void store_integer(Number type, void* y, int64_t at, int64_t v) {
  switch (type) {
    case Number::s32: static_cast<int32_t*>(y)[at] = static_cast<int32_t>(v); break;
    case Number::s64: static_cast<int64_t*>(y)[at] = v; break;
    case Number::s8: static_cast<uint8_t*>(y)[at] = static_cast<uint8_t>(v + 128); break;
    case Number::boolean: static_cast<uint8_t*>(y)[at] = v != 0; break;
    default: static_cast<uint8_t*>(y)[at] = static_cast<uint8_t>(v); break;
  }
}
__device__ __forceinline__ void store_number(Number type, void* y, int64_t at, float v) {
  if (type == Number::f16) {
    static_cast<__half*>(y)[at] = __float2half_rn(v);
  } else {
    static_cast<float*>(y)[at] = v;
  }
}

__global__ void cast(const __grid_constant__ Strided s, Number to, Number from, void* y, const void* x) {
  grid_begin();
  const int64_t index = index_here();
  if (index >= s.count) return;
  int64_t at[2];
  offsets(s, static_cast<uint32_t>(index), at);
  if (is_float(from)) {
    const float v =
        from == Number::f16 ? __half2float(static_cast<const __half*>(x)[at[1]]) : static_cast<const float*>(x)[at[1]];
    if (is_float(to)) {
      store_number(to, y, at[0], v);
    } else {
      store_integer(to, y, at[0], to == Number::boolean ? v != 0.0f : truncated(v, to));
    }
    return;
  }
  const int64_t v = load_integer(from, x, at[1]);
  if (is_float(to)) {
    store_number(to, y, at[0], __ll2float_rn(v));
  } else {
    store_integer(to, y, at[0], v);
  }
}

}  // namespace

cudaError_t launch_integer_matmul(const Strided& batch, const IntegerMatMulParams& p, void* y, const void* a,
                                  const void* b, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>((p.shape.n + k_tile - 1) / k_tile),
                  static_cast<unsigned>((p.shape.m + k_tile - 1) / k_tile), static_cast<unsigned>(batch.count));
  return launch(integer_matmul, grid, dim3(128), 0, stream, batch, p, y, static_cast<const uint8_t*>(a),
                static_cast<const uint8_t*>(b));
}

cudaError_t launch_conv_integer(const WindowParams& p, ZeroPoint x_zero, cudaStream_t stream) {
  return launch(conv_integer, blocks_for(int64_t{p.batch} * p.oh * p.ow * p.oc, k_threads), k_threads, 0, stream, p,
                x_zero);
}

cudaError_t launch_dynamic_quantize(const Strided& s, uint8_t* y, float* scale, uint8_t* zero, const float* x,
                                    int32_t* range, int32_t* arrived, cudaStream_t stream) {
  constexpr int64_t k_most_ctas = 256;
  const int64_t wanted = (s.count + k_threads - 1) / k_threads;
  const dim3 grid(static_cast<unsigned>(wanted < 1 ? 1 : wanted < k_most_ctas ? wanted : k_most_ctas));
  const cudaError_t status = launch(range_of, grid, k_threads, 0, stream, s, range, x);
  if (status != cudaSuccess) return status;
  return launch(quantize_range, grid, k_threads, 0, stream, s, y, scale, zero, x, range, arrived);
}

cudaError_t launch_cast(const Strided& s, Number to, Number from, void* y, const void* x, cudaStream_t stream) {
  return launch(cast, blocks_for(s.count, k_threads), k_threads, 0, stream, s, to, from, y, x);
}

}  // namespace octet::cuda
