#pragma once
// What the kernels share. Every float operation is written as the intrinsic of one rounding, since the answers are
// defined to the bit; programmatic launches let a kernel start while the one before it still runs.

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include "backends/cuda/launch_kernel.cuh"
#include "backends/cuda/params.h"

namespace octet::cuda {

/// Waits until the kernels before this one in the stream are complete and their writes visible.
__device__ __forceinline__ void grid_wait() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
/// Lets the next kernel of the stream start (it waits on its own for this one's writes).
__device__ __forceinline__ void grid_trigger() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

/// For kernels that prepare nothing: the next one may do so while this one works.
__device__ __forceinline__ void grid_begin() {
  grid_wait();
  grid_trigger();
}

/// Brings a kernel's parameters into the constant cache, for use behind grid_wait().
template <class Params>
__device__ __forceinline__ void touch_params(const Params& p) {
  constexpr int k_line = 64;
#pragma unroll
  for (size_t at = 0; at < sizeof(Params); at += k_line)
    asm volatile("" ::"r"(*reinterpret_cast<const uint32_t*>(reinterpret_cast<const char*>(&p) + at)));
}

__device__ __forceinline__ uint32_t div(const FastDiv& f, uint32_t n) {
  return f.d == 1 ? n : __umulhi(n, f.mul) >> f.shift;
}

/// exp_f32 of src/tensor/activation.h, operation by operation.
__device__ __forceinline__ float exact_exp(float x) {
  if (isnan(x)) return x;
  x = fminf(fmaxf(x, -87.0f), 88.0f);
  const float n = rintf(__fmul_rn(x, 0x1.715476p+0f));
  float r = __fmaf_rn(n, -0x1.62e400p-1f, x);
  r = __fmaf_rn(n, -0x1.7f7d1cp-20f, r);
  float p = 0x1.a0d2cep-13f;
  p = __fmaf_rn(p, r, 0x1.6e879cp-10f);
  p = __fmaf_rn(p, r, 0x1.111210p-7f);
  p = __fmaf_rn(p, r, 0x1.555382p-5f);
  p = __fmaf_rn(p, r, 0x1.555554p-3f);
  p = __fmaf_rn(p, r, 0x1.000000p-1f);
  const float y = __fadd_rn(__fmaf_rn(p, __fmul_rn(r, r), r), 1.0f);
  return __uint_as_float(__float_as_uint(y) + (static_cast<uint32_t>(static_cast<int32_t>(n)) << 23));
}

// std::max(x, c) keeps x where x is NaN; fmaxf would give c.
__device__ __forceinline__ float keep_max(float x, float c) { return x < c ? c : x; }
__device__ __forceinline__ float keep_min(float x, float c) { return c < x ? c : x; }

__device__ __forceinline__ float hard_sigmoid(float x, float alpha, float beta) {
  return keep_min(keep_max(__fmaf_rn(x, alpha, beta), 0.0f), 1.0f);
}

__device__ __forceinline__ float activate(Act act, float p0, float p1, float x) {
  switch (act) {
    case Act::none: return x;
    case Act::relu: return keep_max(x, 0.0f);
    case Act::clip: return keep_min(keep_max(x, p0), p1);
    case Act::leaky_relu: return x < 0.0f ? __fmul_rn(x, p0) : x;
    case Act::sigmoid: return __fdiv_rn(1.0f, __fadd_rn(1.0f, exact_exp(-x)));
    case Act::hard_sigmoid: return hard_sigmoid(x, p0, p1);
    case Act::hard_swish: return __fmul_rn(x, hard_sigmoid(x, 1.0f / 6.0f, 0.5f));
    case Act::silu: return __fdiv_rn(x, __fadd_rn(1.0f, exact_exp(-x)));
    case Act::tanh_: return __fsub_rn(1.0f, __fdiv_rn(2.0f, __fadd_rn(exact_exp(__fadd_rn(x, x)), 1.0f)));
  }
  return x;
}

/// Nearest-even code of v within lo..hi, before the zero point: lo and hi are less it. Adding 1.5 * 2^23 rounds to an
/// integer once; the clamp before it changes nothing, its bounds being integers. NaN gives 0.
__device__ __forceinline__ int32_t rounded(float v, float lo, float hi) {
  v = isnan(v) ? 0.0f : v;
  return __float_as_int(__fadd_rn(fminf(fmaxf(v, lo), hi), 12582912.0f)) - 0x4B400000;
}

/// The code, in the u8 domain, of a product that carries the multiplier already.
__device__ __forceinline__ int32_t output_code(const Epilogue& e, float v) {
  if (e.on_values) v = __fmul_rn(activate(e.act, e.p0, e.p1, v), e.inverse_y_scale);
  const int32_t q = rounded(v, static_cast<float>(e.lo - e.y_zero), static_cast<float>(e.hi - e.y_zero));
  // A NaN has the code of real zero, which lo..hi need not hold.
  return min(max(q + e.y_zero, e.lo), e.hi);
}
__device__ __forceinline__ float output_value(const Epilogue& e, float v) { return activate(e.act, e.p0, e.p1, v); }

/// Form 2 or 3 up to the activation: acc * m, or fma(acc, m, (r - zr) * mr).
__device__ __forceinline__ float scaled(int32_t acc, float m) { return __fmul_rn(__int2float_rn(acc), m); }
__device__ __forceinline__ float scaled(int32_t acc, float m, int32_t r, float mr) {
  return __fmaf_rn(__int2float_rn(acc), m, __fmul_rn(__int2float_rn(r), mr));
}

__device__ __forceinline__ float load_float(const float* p) { return *p; }
__device__ __forceinline__ float load_float(const __half* p) { return __half2float(*p); }
__device__ __forceinline__ void store_float(float* p, float v) { *p = v; }
__device__ __forceinline__ void store_float(__half* p, float v) { *p = __float2half_rn(v); }

template <int Operands>
__device__ __forceinline__ void offsets(const Strided& s, uint32_t index, int64_t (&at)[Operands]) {
#pragma unroll
  for (int o = 0; o < Operands; ++o) at[o] = 0;
  for (int d = s.rank - 1; d >= 0; --d) {
    const uint32_t q = div(s.div[d], index);
    const int64_t i = index - q * s.div[d].d;
#pragma unroll
    for (int o = 0; o < Operands; ++o) at[o] += i * s.stride[o][d];
    index = q;
  }
}

}  // namespace octet::cuda
