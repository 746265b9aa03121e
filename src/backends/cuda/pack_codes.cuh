#pragma once
// Between sums, floats and codes: what all kernels of integer layers end in.

#include "backends/cuda/words.cuh"

namespace octet::cuda {

/// Byte i % 4 of word w as float, less `zero` (2^23 and the code's zero point): 2^23 + b is the float of bits
/// 0x4b0000bb.
__device__ __forceinline__ float byte_less(uint32_t w, int i, float zero) {
  return __fsub_rn(__uint_as_float(__byte_perm(w, 0x4B000000u, 0x7540u | static_cast<unsigned>(i % 4))), zero);
}

/// Codes of V products that carry 1/y_scale already. Adding 1.5 * 2^23 rounds once, to nearest even, and leaves the
/// integer in the low bits; the clamp before it changes nothing, its bounds being integers. The zero point is added to
/// the integer, since it may be odd and ties go to even.
template <int V>
__device__ __forceinline__ void pack_codes(const Epilogue& e, const float (&v)[V], uint32_t (&w)[V / 4]) {
  const float lo = static_cast<float>(e.lo - e.y_zero), hi = static_cast<float>(e.hi - e.y_zero);
#pragma unroll
  for (int i = 0; i < V / 4; ++i) {
    int32_t q[4];
#pragma unroll
    for (int j = 0; j < 4; ++j)
      q[j] = __float_as_int(__fadd_rn(fminf(fmaxf(v[4 * i + j], lo), hi), 12582912.0f)) + (e.y_zero - 0x4B400000);
    w[i] = pack_bytes(q);
  }
}

/// The same where all codes from 0 to 255 are allowed and 0 is the zero point: the product by 2^-149, the smallest
/// positive float, rounds once, to nearest even, to a multiple of it, whose bits are the integer. What is too large has
/// larger bits, what is negative has the sign bit; saturation makes them 255 and 0.
template <int V>
__device__ __forceinline__ void pack_codes_from_zero(const float (&v)[V], uint32_t (&w)[V / 4]) {
#pragma unroll
  for (int i = 0; i < V / 4; ++i) {
    int32_t q[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) q[j] = __float_as_int(__fmul_rn(v[4 * i + j], 0x1p-149f));
    w[i] = pack_bytes(q);
  }
}

/// A sum whose bias has the bits of 1.5 * 2^23 added: an integer below 2^22 in float's own bits, which one exact
/// subtraction converts.
__device__ __forceinline__ float small_sum(int32_t sum) { return __fsub_rn(__int_as_float(sum), 12582912.0f); }

}  // namespace octet::cuda
