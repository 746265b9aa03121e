#pragma once
// From the sums of a convolution to what is stored: bias, multiplier, residual, activation, codes or floats. A thread
// finishes V neighbouring channels of one pixel.

#include "backends/cuda/mma.cuh"

namespace octet::cuda {

/// V codes as V / 4 words, one store where the row keeps its alignment.
template <int V>
__device__ __forceinline__ void store_words(void* to, const uint32_t (&w)[V]) {
  if constexpr (V == 1) *static_cast<uint32_t*>(to) = w[0];
  if constexpr (V == 2) *static_cast<uint2*>(to) = make_uint2(w[0], w[1]);
  if constexpr (V >= 4) {
#pragma unroll
    for (int i = 0; i < V / 4; ++i)
      static_cast<uint4*>(to)[i] = make_uint4(w[4 * i], w[4 * i + 1], w[4 * i + 2], w[4 * i + 3]);
  }
}
template <int V>
__device__ __forceinline__ void load_words(uint32_t (&w)[V], const void* from) {
  if constexpr (V == 1) w[0] = *static_cast<const uint32_t*>(from);
  if constexpr (V == 2) {
    const uint2 v = *static_cast<const uint2*>(from);
    w[0] = v.x, w[1] = v.y;
  }
  if constexpr (V >= 4) {
#pragma unroll
    for (int i = 0; i < V / 4; ++i) {
      const uint4 v = static_cast<const uint4*>(from)[i];
      w[4 * i] = v.x, w[4 * i + 1] = v.y, w[4 * i + 2] = v.z, w[4 * i + 3] = v.w;
    }
  }
}

/// Byte i % 4 of word w as float, less `zero` (2^23 and the code's zero point): 2^23 + b is the float of bits
/// 0x4b0000bb.
__device__ __forceinline__ float byte_less(uint32_t w, int i, float zero) {
  return __fsub_rn(__uint_as_float(__byte_perm(w, 0x4B000000u, 0x7540u | static_cast<unsigned>(i % 4))), zero);
}

/// Codes of V products that carry 1/y_scale already. Adding 1.5 * 2^23 rounds once, to nearest even, and leaves the
/// integer in the low bits; the clamp before it changes nothing, its bounds being integers. The zero point is added to
/// the bytes, since it may be odd and ties go to even.
template <int V>
__device__ __forceinline__ void pack_codes(const Epilogue& e, const float (&v)[V], uint32_t (&w)[V / 4]) {
  const float lo = static_cast<float>(e.lo - e.y_zero), hi = static_cast<float>(e.hi - e.y_zero);
  const uint32_t zero = static_cast<uint32_t>(e.y_zero) * 0x01010101u;
#pragma unroll
  for (int i = 0; i < V / 4; ++i) {
    uint32_t q[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) q[j] = __float_as_uint(__fadd_rn(fminf(fmaxf(v[4 * i + j], lo), hi), 12582912.0f));
    w[i] = __vadd4(__byte_perm(__byte_perm(q[0], q[1], 0x0040), __byte_perm(q[2], q[3], 0x0040), 0x5410), zero);
  }
}

/// Products act'(acc + bias) of V channels as codes.
template <int V>
__device__ __forceinline__ void to_codes(const Epilogue& e, float (&v)[V], uint32_t (&w)[V / 4]) {
  if (e.on_values) {
#pragma unroll
    for (int i = 0; i < V; ++i) {
      v[i] = __fmul_rn(activate(e.act, e.p0, e.p1, v[i]), e.inverse_y_scale);
      v[i] = isnan(v[i]) ? 0.0f : v[i];
    }
  }
  pack_codes<V>(e, v, w);
}

/// V products act'(acc + bias) of one pixel as its dtype wants them; m, oc say where.
template <int V>
__device__ __forceinline__ void store_outputs(const ConvParams& p, size_t y_at, int oc, bool wide, float (&v)[V]) {
  const Epilogue& e = p.epilogue;
  if (e.to == Store::u8) {
    uint32_t w[V / 4];
    to_codes<V>(e, v, w);
    auto* to = static_cast<uint8_t*>(p.y) + y_at;
    if (wide) {
      store_words<V / 4>(to, w);
    } else {
      for (int i = 0; i < V; ++i)
        if (oc + i < p.oc) to[i] = static_cast<uint8_t>(w[i / 4] >> (8 * (i % 4)));
    }
    return;
  }
#pragma unroll
  for (int i = 0; i < V; ++i) v[i] = output_value(e, v[i]);
  if (e.to == Store::f32) {
    auto* to = static_cast<float*>(p.y) + y_at;
    if (wide) {
      uint32_t w[V];
#pragma unroll
      for (int i = 0; i < V; ++i) w[i] = __float_as_uint(v[i]);
      store_words<V>(to, w);
    } else {
      for (int i = 0; i < V; ++i)
        if (oc + i < p.oc) to[i] = v[i];
    }
  } else {
    auto* to = static_cast<__half*>(p.y) + y_at;
    for (int i = 0; i < V; ++i)
      if (oc + i < p.oc) to[i] = __float2half_rn(v[i]);
  }
}

/// Sums of V channels with their biases, as floats. Where p.small_sums holds, bias has the bits of 1.5 * 2^23 added, so
/// that the sum is an integer below 2^22 in float's own bits and one exact subtraction converts it.
template <int V>
__device__ __forceinline__ void sums_to_floats(const ConvParams& p, const int32_t (&acc)[V], const int32_t (&bias)[V],
                                               float (&v)[V]) {
  if (p.small_sums) {
#pragma unroll
    for (int i = 0; i < V; ++i) v[i] = __fsub_rn(__int_as_float(acc[i] + bias[i]), 12582912.0f);
  } else {
#pragma unroll
    for (int i = 0; i < V; ++i) v[i] = __int2float_rn(acc[i] + bias[i]);
  }
}

/// V codes of the residual of pixel m.
template <int V>
__device__ __forceinline__ void load_residual(const ConvParams& p, int m, int oc, uint32_t (&r)[V / 4]) {
  const auto* from = static_cast<const uint8_t*>(p.residual) + static_cast<size_t>(m) * p.r_pitch + oc;
  if (p.wide_store && oc + V <= p.oc) {
    load_words<V / 4>(r, from);
    return;
  }
#pragma unroll
  for (int i = 0; i < V / 4; ++i) r[i] = 0;
  for (int i = 0; i < V; ++i)
    if (oc + i < p.oc) r[i / 4] |= static_cast<uint32_t>(from[i]) << (8 * (i % 4));
}

/// The outputs of V neighbouring channels of one pixel, from exact sums. bias, multiplier: of these channels; r: the
/// codes of the residual.
template <int V>
__device__ __forceinline__ void finish_codes(const ConvParams& p, int m, int oc, const int32_t (&acc)[V],
                                             const int32_t (&bias)[V], const float (&multiplier)[V],
                                             const uint32_t (&r)[V / 4]) {
  const Epilogue& e = p.epilogue;
  const bool wide = p.wide_store && oc + V <= p.oc;
  float v[V];
  sums_to_floats<V>(p, acc, bias, v);
  if (e.has_residual) {
    const float zero = 8388608.0f + static_cast<float>(e.r_zero);
#pragma unroll
    for (int i = 0; i < V; ++i)
      v[i] = __fmaf_rn(v[i], multiplier[i], __fmul_rn(byte_less(r[i / 4], i, zero), e.r_multiplier));
  } else {
#pragma unroll
    for (int i = 0; i < V; ++i) v[i] = __fmul_rn(v[i], multiplier[i]);
  }
  store_outputs<V>(p, static_cast<size_t>(m) * p.y_pitch + oc, oc, wide, v);
}

/// act() of V values with the choice made once; no activation, ReLU and Clip are a clamp.
template <int V>
__device__ __forceinline__ void activate_all(const Epilogue& e, float (&v)[V]) {
  if (e.act == Act::none) return;
  if (e.act == Act::relu) {
#pragma unroll
    for (int i = 0; i < V; ++i) v[i] = keep_max(v[i], 0.0f);
    return;
  }
#pragma unroll 1
  for (int i = 0; i < V; ++i) v[i] = activate(e.act, e.p0, e.p1, v[i]);
}

/// The same for float layers: act(acc + bias + residual).
template <bool Half, int V>
__device__ __forceinline__ void finish_values(const ConvParams& p, int m, int oc, const float (&acc)[V],
                                              const float (&bias)[V]) {
  const Epilogue& e = p.epilogue;
  const bool wide = p.wide_store && oc + V <= p.oc;
  float v[V];
#pragma unroll
  for (int i = 0; i < V; ++i) v[i] = acc[i] + bias[i];
  const size_t y_at = static_cast<size_t>(m) * p.y_pitch + oc, r_at = static_cast<size_t>(m) * p.r_pitch + oc;
  if constexpr (Half) {
    if (e.has_residual) {
      const auto* from = static_cast<const __half*>(p.residual) + r_at;
      if (wide) {
        uint32_t r[V / 2];
        load_words<V / 2>(r, from);
#pragma unroll
        for (int i = 0; i < V / 2; ++i) {
          const float2 f = __half22float2(*reinterpret_cast<const __half2*>(&r[i]));
          v[2 * i] += f.x, v[2 * i + 1] += f.y;
        }
      } else {
        for (int i = 0; i < V; ++i)
          if (oc + i < p.oc) v[i] += __half2float(from[i]);
      }
    }
    activate_all<V>(e, v);
    auto* to = static_cast<__half*>(p.y) + y_at;
    uint32_t w[V / 2];
#pragma unroll
    for (int i = 0; i < V / 2; ++i) {
      const __half2 h = __floats2half2_rn(v[2 * i], v[2 * i + 1]);
      w[i] = *reinterpret_cast<const uint32_t*>(&h);
    }
    if (wide) {
      store_words<V / 2>(to, w);
    } else {
      for (int i = 0; i < V; ++i)
        if (oc + i < p.oc) to[i] = __ushort_as_half(static_cast<unsigned short>(w[i / 2] >> (16 * (i % 2))));
    }
  } else {
    const auto* from = static_cast<const float*>(p.residual) + r_at;
    auto* to = static_cast<float*>(p.y) + y_at;
    if (e.has_residual) {
      for (int i = 0; i < V; ++i)
        if (oc + i < p.oc) v[i] += from[i];
    }
    activate_all<V>(e, v);
    uint32_t w[V];
#pragma unroll
    for (int i = 0; i < V; ++i) w[i] = __float_as_uint(v[i]);
    if (wide) {
      store_words<V>(to, w);
    } else {
      for (int i = 0; i < V; ++i)
        if (oc + i < p.oc) to[i] = __uint_as_float(w[i]);
    }
  }
}

template <ConvType T, int V>
__device__ __forceinline__ void finish(const ConvParams& p, int m, int oc,
                                       const typename Accumulator<T>::type (&acc)[V],
                                       const typename Accumulator<T>::type (&bias)[V], const float (&multiplier)[V]) {
  if (m >= p.m || oc >= p.oc) return;
  if constexpr (T == ConvType::u8s8) {
    uint32_t r[V / 4] = {};
    if (p.epilogue.has_residual) load_residual<V>(p, m, oc, r);
    finish_codes<V>(p, m, oc, acc, bias, multiplier, r);
  } else {
    finish_values<T == ConvType::f16, V>(p, m, oc, acc, bias);
  }
}

/// bias and multiplier of V neighbouring channels; both arrays end at w_rows, a multiple of 64.
template <ConvType T, int V>
__device__ __forceinline__ void load_channels(const ConvParams& p, int oc, typename Accumulator<T>::type (&bias)[V],
                                              float (&multiplier)[V]) {
  uint32_t w[V] = {};
  const bool inside = oc < p.w_rows;
  if (inside) load_words<V>(w, static_cast<const uint32_t*>(p.bias) + oc);
#pragma unroll
  for (int i = 0; i < V; ++i) {
    if constexpr (T == ConvType::u8s8) {
      bias[i] = static_cast<int32_t>(w[i]);
    } else {
      bias[i] = __uint_as_float(w[i]);
    }
  }
  if constexpr (T == ConvType::u8s8) {
    if (inside) load_words<V>(w, p.multiplier + oc);
#pragma unroll
    for (int i = 0; i < V; ++i) multiplier[i] = __uint_as_float(w[i]);
  }
}

}  // namespace octet::cuda
