#pragma once
// From the sums of a float convolution to what is stored.

#include "backends/cuda/words.cuh"

namespace octet::cuda {

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

}  // namespace octet::cuda
