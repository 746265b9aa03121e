#pragma once
// From the exact sums of an integer convolution to codes, or to floats where the layer ends the integer part.

#include "backends/cuda/pack_codes.cuh"

namespace octet::cuda {

// What few layers need is a function of its own, out of the way of the instructions that all run through.

/// Form 3: activations that are no clamp of codes.
template <int V>
__device__ __noinline__ void activate_values(const Epilogue& e, float (&v)[V]) {
#pragma unroll 1
  for (int i = 0; i < V; ++i) {
    v[i] = __fmul_rn(activate(e.act, e.p0, e.p1, v[i]), e.inverse_y_scale);
    v[i] = isnan(v[i]) ? 0.0f : v[i];
  }
}

/// Products act'(acc + bias) of V channels as codes.
template <int V>
__device__ __forceinline__ void to_codes(const Epilogue& e, float (&v)[V], uint32_t (&w)[V / 4]) {
  if (e.on_values) {
    float values[V];
#pragma unroll
    for (int i = 0; i < V; ++i) values[i] = v[i];
    activate_values<V>(e, values);
#pragma unroll
    for (int i = 0; i < V; ++i) v[i] = values[i];
  }
  pack_codes<V>(e, v, w);
}

/// Floats, or codes of a row without alignment.
template <int V>
__device__ __noinline__ void store_others(const ConvParams& p, size_t y_at, int oc, const float (&v)[V],
                                          const uint32_t (&w)[V / 4]) {
  const Epilogue& e = p.epilogue;
#pragma unroll 1
  for (int i = 0; i < V && oc + i < p.oc; ++i) {
    if (e.to == Store::u8) {
      static_cast<uint8_t*>(p.y)[y_at + i] = static_cast<uint8_t>(w[i / 4] >> (8 * (i % 4)));
    } else if (e.to == Store::f32) {
      static_cast<float*>(p.y)[y_at + i] = output_value(e, v[i]);
    } else {
      static_cast<__half*>(p.y)[y_at + i] = __float2half_rn(output_value(e, v[i]));
    }
  }
}

/// V products act'(acc + bias) of one pixel as its dtype wants them; m, oc say where.
template <int V>
__device__ __forceinline__ void store_outputs(const ConvParams& p, size_t y_at, int oc, bool wide, float (&v)[V]) {
  const Epilogue& e = p.epilogue;
  uint32_t w[V / 4] = {};
  if (e.to == Store::u8) {
    to_codes<V>(e, v, w);
    if (wide) {
      store_words<V / 4>(static_cast<uint8_t*>(p.y) + y_at, w);
      return;
    }
  }
  float values[V];
  uint32_t words[V / 4];
#pragma unroll
  for (int i = 0; i < V; ++i) values[i] = v[i], words[i / 4] = w[i / 4];
  store_others<V>(p, y_at, oc, values, words);
}

/// Sums of V channels with their biases, as floats.
template <int V>
__device__ __forceinline__ void sums_to_floats(const ConvParams& p, const int32_t (&acc)[V], const int32_t (&bias)[V],
                                               float (&v)[V]) {
  if (p.small_sums) {
#pragma unroll
    for (int i = 0; i < V; ++i) v[i] = small_sum(acc[i] + bias[i]);
  } else {
#pragma unroll
    for (int i = 0; i < V; ++i) v[i] = __int2float_rn(acc[i] + bias[i]);
  }
}

/// Four codes of which `count` exist.
inline __device__ __noinline__ uint32_t load_some_codes(const uint8_t* from, int count) {
  uint32_t word = 0;
#pragma unroll 1
  for (int i = 0; i < 4 && i < count; ++i) word |= static_cast<uint32_t>(from[i]) << (8 * i);
  return word;
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
  for (int i = 0; i < V / 4; ++i) r[i] = load_some_codes(from + 4 * i, p.oc - oc - 4 * i);
}

/// The outputs of V neighbouring channels of one pixel, from exact sums. bias, multiplier: of these channels; r: the
/// codes of the residual.
template <int V>
__device__ __forceinline__ void finish_codes(const ConvParams& p, int m, int oc, const int32_t (&acc)[V],
                                             const int32_t (&bias)[V], const float (&multiplier)[V],
                                             const uint32_t (&r)[V / 4]) {
  const Epilogue& e = p.epilogue;
  const bool wide = p.wide_store && oc + V <= p.oc;
  const size_t y_at = static_cast<size_t>(m) * p.y_pitch + oc;
  const float zero = 8388608.0f + static_cast<float>(e.r_zero);
  const auto scale = [&](float(&v)[V]) {
    if (e.has_residual) {
#pragma unroll
      for (int i = 0; i < V; ++i)
        v[i] = __fmaf_rn(v[i], multiplier[i], __fmul_rn(byte_less(r[i / 4], i, zero), e.r_multiplier));
    } else {
#pragma unroll
      for (int i = 0; i < V; ++i) v[i] = __fmul_rn(v[i], multiplier[i]);
    }
  };
  float v[V];
  if (p.from_zero && wide) {  // what most layers are, with nothing to ask on the way
#pragma unroll
    for (int i = 0; i < V; ++i) v[i] = small_sum(acc[i] + bias[i]);
    scale(v);
    uint32_t w[V / 4];
    pack_codes_from_zero<V>(v, w);
    store_words<V / 4>(static_cast<uint8_t*>(p.y) + y_at, w);
    return;
  }
  sums_to_floats<V>(p, acc, bias, v);
  scale(v);
  store_outputs<V>(p, y_at, oc, wide, v);
}

}  // namespace octet::cuda
