// Loops over elements at any strides: copies, conversions, quantization, arithmetic of two operands, functions of one.
#include "backends/cuda/device.cuh"
#include "backends/cuda/launch.h"
#include "backends/cuda/quantize.cuh"

namespace octet::cuda {
namespace {

constexpr int k_threads = 256;

__device__ __forceinline__ int64_t index_here() { return int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }

template <class T>
__global__ void copy(const __grid_constant__ Strided s, T* y, const T* x) {
  grid_begin();
  const int64_t index = index_here();
  if (index >= s.count) return;
  int64_t at[2];
  offsets(s, static_cast<uint32_t>(index), at);
  y[at[0]] = x[at[1]];
}

template <class To, class From>
__global__ void convert(const __grid_constant__ Strided s, To* y, const From* x) {
  grid_begin();
  const int64_t index = index_here();
  if (index >= s.count) return;
  int64_t at[2];
  offsets(s, static_cast<uint32_t>(index), at);
  store_float(y + at[0], load_float(x + at[1]));
}

__global__ void flip(const __grid_constant__ Strided s, uint8_t* y, const uint8_t* x) {
  grid_begin();
  const int64_t index = index_here();
  if (index >= s.count) return;
  int64_t at[2];
  offsets(s, static_cast<uint32_t>(index), at);
  y[at[0]] = x[at[1]] ^ 0x80;
}

template <class T>
__global__ void fill(T* y, T element, int64_t count) {
  grid_begin();
  const int64_t index = index_here();
  if (index < count) y[index] = element;
}

template <class T>
__global__ void quantize(const __grid_constant__ QuantizeParams p, const __grid_constant__ Strided s) {
  grid_begin();
  const int64_t index = index_here();
  if (index >= s.count) return;
  int64_t at[3];
  offsets(s, static_cast<uint32_t>(index), at);
  static_cast<uint8_t*>(p.y)[at[0]] =
      quantized(load_float(static_cast<const T*>(p.x) + at[1]), p.scale[at[2]], p.zero[at[2]]);
}

template <class T>
__global__ void dequantize(const __grid_constant__ QuantizeParams p, const __grid_constant__ Strided s) {
  grid_begin();
  const int64_t index = index_here();
  if (index >= s.count) return;
  int64_t at[3];
  offsets(s, static_cast<uint32_t>(index), at);
  const int32_t code = static_cast<const uint8_t*>(p.x)[at[1]] - p.zero[at[2]];
  store_float(static_cast<T*>(p.y) + at[0], scaled(code, p.scale[at[2]]));
}

__global__ void quantize_image(const __grid_constant__ QuantizeParams p, int c, int plane, int64_t pixels) {
  grid_begin();
  const int64_t pixel = index_here();
  if (pixel >= pixels) return;
  const float scale = p.scale[0];
  const int32_t zero = p.zero[0];
  const float* x = static_cast<const float*>(p.x) + pixel / plane * plane * c + pixel % plane;
  uint32_t codes = 0;
  for (int i = 0; i < c; ++i) codes |= static_cast<uint32_t>(quantized(x[int64_t{i} * plane], scale, zero)) << (8 * i);
  static_cast<uint32_t*>(p.y)[pixel] = codes;
}

__device__ __forceinline__ float of_two(Binary op, float a, float b) {
  switch (op) {
    case Binary::add: return __fadd_rn(a, b);
    case Binary::sub: return __fsub_rn(a, b);
    case Binary::mul: return __fmul_rn(a, b);
    case Binary::div: return __fdiv_rn(a, b);
    case Binary::min_: return isnan(a) || isnan(b) ? NAN : fminf(a, b);
    case Binary::max_: return isnan(a) || isnan(b) ? NAN : fmaxf(a, b);
    case Binary::pow_: return powf(a, b);
    case Binary::prelu: return a < 0.0f ? __fmul_rn(a, b) : a;
  }
  return a;
}

template <class T>
__global__ void binary(Binary op, Act act, float p0, float p1, const __grid_constant__ Strided s, T* y, const T* a,
                       const T* b) {
  grid_begin();
  const int64_t index = index_here();
  if (index >= s.count) return;
  int64_t at[3];
  offsets(s, static_cast<uint32_t>(index), at);
  store_float(y + at[0], activate(act, p0, p1, of_two(op, load_float(a + at[1]), load_float(b + at[2]))));
}

__device__ __forceinline__ float softplus(float x) { return x > 0 ? x + log1pf(expf(-x)) : log1pf(expf(x)); }

__device__ __forceinline__ float of_one(Unary op, Act act, float p0, float p1, float x) {
  switch (op) {
    case Unary::activation: return activate(act, p0, p1, x);
    case Unary::sqrt_: return __fsqrt_rn(x);
    case Unary::exp_: return expf(x);
    case Unary::log_: return logf(x);
    case Unary::erf_: return erff(x);
    case Unary::reciprocal: return __fdiv_rn(1.0f, x);
    case Unary::floor_: return floorf(x);
    case Unary::ceil_: return ceilf(x);
    case Unary::round_: return rintf(x);
    case Unary::neg: return -x;
    case Unary::abs_: return fabsf(x);
    case Unary::gelu: return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
    case Unary::gelu_tanh: return 0.5f * x * (1.0f + tanhf(0.7978845608028654f * (x + 0.044715f * x * x * x)));
    case Unary::elu: return x < 0 ? p0 * expm1f(x) : x;
    case Unary::selu: return p1 * (x < 0 ? p0 * expm1f(x) : x);
    case Unary::softplus: return softplus(x);
    case Unary::mish: return x * tanhf(softplus(x));
    case Unary::copy: return x;
  }
  return x;
}

template <class T>
__global__ void unary(Unary op, Act act, float p0, float p1, const __grid_constant__ Strided s, T* y, const T* x) {
  grid_begin();
  const int64_t index = index_here();
  if (index >= s.count) return;
  int64_t at[2];
  offsets(s, static_cast<uint32_t>(index), at);
  store_float(y + at[0], of_one(op, act, p0, p1, load_float(x + at[1])));
}

__device__ __forceinline__ float of_pair(const PairParams& p, int32_t a, int32_t b) {
  a -= p.a_zero, b -= p.b_zero;
  return p.product ? scaled(a * b, p.a_multiplier) : scaled(a, p.a_multiplier, b, p.epilogue.r_multiplier);
}

__global__ void pair_u8(const __grid_constant__ PairParams p, const __grid_constant__ Strided s, void* y,
                        const uint8_t* a, const uint8_t* b) {
  grid_begin();
  const int64_t index = index_here();
  if (index >= s.count) return;
  int64_t at[3];
  offsets(s, static_cast<uint32_t>(index), at);
  const float v = of_pair(p, a[at[1]], b[at[2]]);
  if (p.epilogue.to == Store::u8) {
    static_cast<uint8_t*>(y)[at[0]] = static_cast<uint8_t>(output_code(p.epilogue, v));
  } else if (p.epilogue.to == Store::f32) {
    static_cast<float*>(y)[at[0]] = output_value(p.epilogue, v);
  } else {
    static_cast<__half*>(y)[at[0]] = __float2half_rn(output_value(p.epilogue, v));
  }
}

__global__ void pair_dense_u8(const __grid_constant__ PairParams p, int64_t count, uint4* y, const uint4* a,
                              const uint4* b) {
  grid_begin();
  const int64_t index = index_here();
  if (index >= count) return;
  const uint4 va = a[index], vb = b[index];
  const uint32_t wa[4] = {va.x, va.y, va.z, va.w}, wb[4] = {vb.x, vb.y, vb.z, vb.w};
  uint32_t out[4];
#pragma unroll
  for (int w = 0; w < 4; ++w) {
    out[w] = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float v =
          of_pair(p, static_cast<int32_t>(wa[w] >> (8 * i) & 255), static_cast<int32_t>(wb[w] >> (8 * i) & 255));
      out[w] |= static_cast<uint32_t>(output_code(p.epilogue, v)) << (8 * i);
    }
  }
  y[index] = make_uint4(out[0], out[1], out[2], out[3]);
}

__global__ void lookup(const __grid_constant__ Strided s, uint8_t* y, const uint8_t* x, const uint8_t* table) {
  grid_begin();
  const int64_t index = index_here();
  if (index >= s.count) return;
  int64_t at[2];
  offsets(s, static_cast<uint32_t>(index), at);
  y[at[0]] = table[x[at[1]]];
}

template <class T>
cudaError_t copy_as(const Strided& s, void* y, const void* x, cudaStream_t stream) {
  return launch(copy<T>, blocks_for(s.count, k_threads), k_threads, 0, stream, s, static_cast<T*>(y),
                static_cast<const T*>(x));
}
template <class To, class From>
cudaError_t convert_as(const Strided& s, void* y, const void* x, cudaStream_t stream) {
  return launch(convert<To, From>, blocks_for(s.count, k_threads), k_threads, 0, stream, s, static_cast<To*>(y),
                static_cast<const From*>(x));
}
template <class T>
cudaError_t fill_as(void* y, uint64_t element, int64_t count, cudaStream_t stream) {
  return launch(fill<T>, blocks_for(count, k_threads), k_threads, 0, stream, static_cast<T*>(y),
                static_cast<T>(element), count);
}

}  // namespace

cudaError_t launch_copy(const Strided& s, int bytes, void* y, const void* x, cudaStream_t stream) {
  switch (bytes) {
    case 1: return copy_as<uint8_t>(s, y, x, stream);
    case 2: return copy_as<uint16_t>(s, y, x, stream);
    case 4: return copy_as<uint32_t>(s, y, x, stream);
    case 8: return copy_as<uint64_t>(s, y, x, stream);
    case 16: return copy_as<uint4>(s, y, x, stream);
    default: return cudaErrorInvalidValue;
  }
}

cudaError_t launch_convert(const Strided& s, Store from, Store to, void* y, const void* x, cudaStream_t stream) {
  if (from == Store::f32 && to == Store::f32) return copy_as<uint32_t>(s, y, x, stream);
  if (from == Store::f16 && to == Store::f16) return copy_as<uint16_t>(s, y, x, stream);
  return from == Store::f32 ? convert_as<__half, float>(s, y, x, stream) : convert_as<float, __half>(s, y, x, stream);
}

cudaError_t launch_flip(const Strided& s, void* y, const void* x, cudaStream_t stream) {
  return launch(flip, blocks_for(s.count, k_threads), k_threads, 0, stream, s, static_cast<uint8_t*>(y),
                static_cast<const uint8_t*>(x));
}

cudaError_t launch_fill(void* y, uint64_t element, int bytes, int64_t count, cudaStream_t stream) {
  switch (bytes) {
    case 1: return fill_as<uint8_t>(y, element, count, stream);
    case 2: return fill_as<uint16_t>(y, element, count, stream);
    case 4: return fill_as<uint32_t>(y, element, count, stream);
    case 8: return fill_as<uint64_t>(y, element, count, stream);
    default: return cudaErrorInvalidValue;
  }
}

cudaError_t launch_quantize(const QuantizeParams& p, Store from, const Strided& s, cudaStream_t stream) {
  return launch(from == Store::f16 ? quantize<__half> : quantize<float>, blocks_for(s.count, k_threads), k_threads, 0,
                stream, p, s);
}

cudaError_t launch_dequantize(const QuantizeParams& p, Store to, const Strided& s, cudaStream_t stream) {
  return launch(to == Store::f16 ? dequantize<__half> : dequantize<float>, blocks_for(s.count, k_threads), k_threads, 0,
                stream, p, s);
}

cudaError_t launch_quantize_image(const QuantizeParams& p, int n, int c, int plane, cudaStream_t stream) {
  const int64_t pixels = int64_t{n} * plane;
  const cudaError_t set = cudaFuncSetAttribute(quantize_image, cudaFuncAttributePreferredSharedMemoryCarveout,
                                               cudaSharedmemCarveoutMaxShared);
  if (set != cudaSuccess) return set;
  return launch(quantize_image, blocks_for(pixels, k_threads), k_threads, 0, stream, p, c, plane, pixels);
}

cudaError_t launch_binary(Binary op, const ElementwiseParams& p, cudaStream_t stream) {
  const dim3 grid = blocks_for(p.s.count, k_threads);
  if (p.store == Store::f16)
    return launch(binary<__half>, grid, k_threads, 0, stream, op, p.act, p.p0, p.p1, p.s, static_cast<__half*>(p.y),
                  static_cast<const __half*>(p.a), static_cast<const __half*>(p.b));
  return launch(binary<float>, grid, k_threads, 0, stream, op, p.act, p.p0, p.p1, p.s, static_cast<float*>(p.y),
                static_cast<const float*>(p.a), static_cast<const float*>(p.b));
}

cudaError_t launch_unary(Unary op, const ElementwiseParams& p, cudaStream_t stream) {
  const dim3 grid = blocks_for(p.s.count, k_threads);
  if (p.store == Store::f16)
    return launch(unary<__half>, grid, k_threads, 0, stream, op, p.act, p.p0, p.p1, p.s, static_cast<__half*>(p.y),
                  static_cast<const __half*>(p.a));
  return launch(unary<float>, grid, k_threads, 0, stream, op, p.act, p.p0, p.p1, p.s, static_cast<float*>(p.y),
                static_cast<const float*>(p.a));
}

cudaError_t launch_pair_u8(const PairParams& p, const Strided& s, void* y, const void* a, const void* b,
                           cudaStream_t stream) {
  return launch(pair_u8, blocks_for(s.count, k_threads), k_threads, 0, stream, p, s, y, static_cast<const uint8_t*>(a),
                static_cast<const uint8_t*>(b));
}

cudaError_t launch_pair_dense_u8(const PairParams& p, int64_t count, void* y, const void* a, const void* b,
                                 cudaStream_t stream) {
  return launch(pair_dense_u8, blocks_for(count / 16, k_threads), k_threads, 0, stream, p, count / 16,
                static_cast<uint4*>(y), static_cast<const uint4*>(a), static_cast<const uint4*>(b));
}

cudaError_t launch_lookup(const Strided& s, void* y, const void* x, const void* table, cudaStream_t stream) {
  return launch(lookup, blocks_for(s.count, k_threads), k_threads, 0, stream, s, static_cast<uint8_t*>(y),
                static_cast<const uint8_t*>(x), static_cast<const uint8_t*>(table));
}

}  // namespace octet::cuda
