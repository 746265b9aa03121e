#pragma once
// Implicit-GEMM convolution on tensor cores by mma.sync, for u8 x s8, f16, and f32 (as tf32 or as three tf32 products).
//
//   acc[m, n] = sum over k of x[pixel of m at tap(k), channel(k)] * w[n, k]     M = output pixels, N = output channels
//
// K runs over 16-byte chunks: all chunks of a tap, tap by tap. Both operands are K-contiguous (NHWC activations, packed
// weights), which is what ldmatrix and the row.col form of mma want; all element types share the byte layout, because
// an m16n8 fragment is 16 rows by 32 bytes in each. cp.async brings the chunks into a ring of stages whose rows are
// XOR-swizzled, so that neither the copies nor ldmatrix meet bank conflicts. A chunk outside the image is filled with
// the code of real zero, so borders need no kernel of their own and zero points fold into the bias.
//
// Warps form WK groups of WM x WN; each group runs its own ring over its own part of K (no barrier between groups) and
// the exact partial sums meet in shared memory. Weights do not depend on the kernel before, so the first stages of
// them are fetched before grid_wait().
//
// The rows of a B tile are permuted so that a thread's accumulators are neighbouring output channels: its codes leave
// as one 16-byte store (8 or 4 bytes for narrow warps), straight from registers.

#include "backends/cuda/device.cuh"
#include "backends/cuda/launch.h"

namespace octet::cuda {

__device__ __forceinline__ uint32_t shared_address(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}
__device__ __forceinline__ void copy_16(uint32_t to, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
}
__device__ __forceinline__ void copy_4(uint32_t to, const void* from) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(to), "l"(from) : "memory");
}
__device__ __forceinline__ void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int Pending>
__device__ __forceinline__ void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
}
__device__ __forceinline__ void fill_16(uint32_t to, uint32_t v) {
  asm volatile("st.shared.v4.b32 [%0], {%1, %1, %1, %1};" ::"r"(to), "r"(v) : "memory");
}
__device__ __forceinline__ void fill_4(uint32_t to, uint32_t v) {
  asm volatile("st.shared.b32 [%0], %1;" ::"r"(to), "r"(v) : "memory");
}
__device__ __forceinline__ void load_matrices(uint32_t (&r)[4], uint32_t from) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(from)
               : "memory");
}
template <int Threads>
__device__ __forceinline__ void group_barrier(int group) {
  if constexpr (Threads == 32) {
    __syncwarp();
  } else {
    asm volatile("bar.sync %0, %1;" ::"r"(group + 1), "n"(Threads) : "memory");
  }
}

/// Byte of 16-byte chunk c of row r in a tile of RowBytes-wide rows.
template <int RowBytes>
__device__ __forceinline__ uint32_t swizzled(int r, int c) {
  constexpr int chunks = RowBytes / 16;
  const int x = chunks >= 8 ? r & 7 : (r >> 1) & 3;
  return static_cast<uint32_t>(r * RowBytes + ((c ^ x) << 4));
}

__device__ __forceinline__ void mma(int32_t (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ __forceinline__ void mma_f16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ __forceinline__ void mma_tf32(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ __forceinline__ uint32_t to_tf32(float x) {
  uint32_t r;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(x));
  return r;
}
/// x = high + low + a rest below 2^-21 of x.
__device__ __forceinline__ void split_tf32(uint32_t x, uint32_t& high, uint32_t& low) {
  high = to_tf32(__uint_as_float(x));
  low = to_tf32(__uint_as_float(x) - __uint_as_float(high));
}

template <ConvType T>
struct Accumulator {
  using type = float;
};
template <>
struct Accumulator<ConvType::u8s8> {
  using type = int32_t;
};

template <ConvType T>
__device__ __forceinline__ void multiply(typename Accumulator<T>::type (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                         uint32_t b1) {
  if constexpr (T == ConvType::u8s8) mma(d, a, b0, b1);
  if constexpr (T == ConvType::f16) mma_f16(d, a, b0, b1);
  if constexpr (T == ConvType::tf32) {
    const uint32_t r[4] = {to_tf32(__uint_as_float(a[0])), to_tf32(__uint_as_float(a[1])),
                           to_tf32(__uint_as_float(a[2])), to_tf32(__uint_as_float(a[3]))};
    mma_tf32(d, r, to_tf32(__uint_as_float(b0)), to_tf32(__uint_as_float(b1)));
  }
  if constexpr (T == ConvType::f32) {
    uint32_t ah[4], al[4], bh[2], bl[2];
    for (int i = 0; i < 4; ++i) split_tf32(a[i], ah[i], al[i]);
    split_tf32(b0, bh[0], bl[0]);
    split_tf32(b1, bh[1], bl[1]);
    mma_tf32(d, al, bh[0], bh[1]);
    mma_tf32(d, ah, bl[0], bl[1]);
    mma_tf32(d, ah, bh[0], bh[1]);
  }
}

// ---- epilogue ----

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

/// V products act'(acc + bias) of one pixel as its dtype wants them; m, oc say where.
template <int V>
__device__ __forceinline__ void store_outputs(const ConvParams& p, size_t y_at, int oc, bool wide, float (&v)[V]) {
  const Epilogue& e = p.epilogue;
  if (e.to == Store::u8) {
    if (e.on_values) {
#pragma unroll
      for (int i = 0; i < V; ++i) {
        v[i] = __fmul_rn(activate(e.act, e.p0, e.p1, v[i]), e.inverse_y_scale);
        v[i] = isnan(v[i]) ? 0.0f : v[i];
      }
    }
    uint32_t w[V / 4];
    pack_codes<V>(e, v, w);
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

/// The outputs of V neighbouring channels of one pixel, from exact sums. bias, multiplier: of these channels; where
/// p.small_sums holds, bias has the bits of 1.5 * 2^23 added, so that the sum is an integer below 2^22 in float's own
/// bits and one exact subtraction converts it.
template <int V>
__device__ __forceinline__ void finish_codes(const ConvParams& p, int m, int oc, const int32_t (&acc)[V],
                                             const int32_t (&bias)[V], const float (&multiplier)[V]) {
  const Epilogue& e = p.epilogue;
  const bool wide = p.wide_store && oc + V <= p.oc;
  float v[V];
  if (p.small_sums) {
#pragma unroll
    for (int i = 0; i < V; ++i) v[i] = __fsub_rn(__int_as_float(acc[i] + bias[i]), 12582912.0f);
  } else {
#pragma unroll
    for (int i = 0; i < V; ++i) v[i] = __int2float_rn(acc[i] + bias[i]);
  }
  if (e.has_residual) {
    uint32_t r[V / 4];
    const auto* from = static_cast<const uint8_t*>(p.residual) + static_cast<size_t>(m) * p.r_pitch + oc;
    if (wide) {
      load_words<V / 4>(r, from);
    } else {
#pragma unroll
      for (int i = 0; i < V / 4; ++i) r[i] = 0;
      for (int i = 0; i < V; ++i)
        if (oc + i < p.oc) r[i / 4] |= static_cast<uint32_t>(from[i]) << (8 * (i % 4));
    }
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
    finish_codes<V>(p, m, oc, acc, bias, multiplier);
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

/// The output channel of row n of a B tile, within the tile: PG columns of a warp are NB blocks of 8, and thread t of
/// a quad owns columns 2t, 2t + 1 of each block, which become channels t * 2 NB .. t * 2 NB + 2 NB - 1.
template <int PG>
__device__ __forceinline__ int channel_of_row(int n) {
  constexpr int NB = PG / 8;
  const int in = n % PG, b = in / 8, t = in % 8 / 2;
  return n - in + t * 2 * NB + 2 * b + in % 2;
}

// ---- the kernel ----

template <ConvType T, int BM, int BN, int WM, int WN, int WK, int BK, int Stages, bool SmallC>
struct ConvKernel {
  static constexpr int k_group = 32 * WM * WN, k_threads = k_group * WK;
  static constexpr int k_chunks = BK / 16, k_step = k_group / k_chunks;  // rows from one copy of a thread to the next
  static constexpr int k_a_rows = BM / k_step, k_b_rows = BN / k_step;
  static constexpr int k_stage = (BM + BN) * BK, k_ring = k_stage * Stages;
  static constexpr int k_m = BM / WM, k_n = BN / WN;  // warp tile
  static constexpr int k_mi = k_m / 16, k_ni = k_n / 8;
  static constexpr int k_pg = k_n < 64 ? k_n : 64, k_groups = k_n / k_pg, k_v = k_pg / 4;
  static constexpr int k_units = 2 * k_mi;  // rows of a thread
  static constexpr size_t k_shared = k_ring * WK;
  static_assert(BM % k_step == 0 && BN % k_step == 0 && k_ni % 2 == 0 && k_m % 16 == 0);
  static_assert(WK == 1 || static_cast<size_t>(WK) * BM * BN * 4 <= k_shared, "partial sums reuse the ring");
  using Acc = typename Accumulator<T>::type;

  struct Rows {            // what a thread copies
    int x_at[k_a_rows];    // of the window's first tap, in words of 4 bytes; may point before x
    int corner[k_a_rows];  // ih0 << 16 | iw0 & 0xffff
    int w_at[k_b_rows];
    int chunk, row;
  };

  static __device__ __forceinline__ Rows rows_of(const ConvParams& p, int tid, int m0, int n0) {
    Rows r;
    r.chunk = tid % k_chunks, r.row = tid / k_chunks;
#pragma unroll
    for (int i = 0; i < k_b_rows; ++i) {
      const int n = n0 + channel_of_row<k_pg>(r.row + i * k_step);
      r.w_at[i] = min(n, p.w_rows - 1) * p.k_bytes + r.chunk * 16;
    }
#pragma unroll
    for (int i = 0; i < k_a_rows; ++i) {
      const int m = min(m0 + r.row + i * k_step, p.m - 1);
      const int image = div(p.by_plane, m), in_plane = m - image * p.by_plane.d;
      const int oh = div(p.by_ow, in_plane), ow = in_plane - oh * p.ow;
      const int ih0 = oh * p.stride_h - p.pad_top, iw0 = ow * p.stride_w - p.pad_left;
      r.x_at[i] = ((image * p.ih + ih0) * p.iw + iw0) * (p.x_pitch / 4);
      r.corner[i] = ih0 << 16 | (iw0 & 0xffff);
    }
    return r;
  }

  static __device__ __forceinline__ void copy_weights(const ConvParams& p, const Rows& r, uint32_t stage, int kt) {
    const auto* w = static_cast<const char*>(p.w) + kt * BK;
#pragma unroll
    for (int i = 0; i < k_b_rows; ++i)
      copy_16(stage + BM * BK + swizzled<BK>(r.row + i * k_step, r.chunk), w + r.w_at[i]);
  }

  static __device__ __forceinline__ void copy_pixels(const ConvParams& p, const Rows& r, uint32_t stage, int kt) {
    const auto* x = static_cast<const char*>(p.x);
    const int kc = kt * k_chunks + r.chunk;
    const int tap = div(p.by_chunks, kc), c = kc - tap * p.by_chunks.d;
    if constexpr (SmallC) {  // a tap is a row of the window, a chunk four of its pixels
      const int dh = tap * p.dilation_h;
#pragma unroll
      for (int i = 0; i < k_a_rows; ++i) {
        const uint32_t to = stage + swizzled<BK>(r.row + i * k_step, r.chunk);
        const int ih = (r.corner[i] >> 16) + dh, iw0 = static_cast<int16_t>(r.corner[i]);
        const bool row_inside = tap < p.taps && static_cast<unsigned>(ih) < static_cast<unsigned>(p.ih);
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          const int dw = (c * 4 + j) * p.dilation_w;
          if (row_inside && static_cast<unsigned>(iw0 + dw) < static_cast<unsigned>(p.iw)) {
            copy_4(to + 4 * j, x + static_cast<int64_t>(r.x_at[i] + dh * p.iw + dw) * 4);
          } else {
            fill_4(to + 4 * j, p.fill);
          }
        }
      }
      return;
    }
    const int kh = div(p.by_kw, tap), kw = tap - kh * p.by_kw.d;
    const int dh = kh * p.dilation_h, dw = kw * p.dilation_w;
    const int delta = (dh * p.iw + dw) * (p.x_pitch / 4) + c * 4;
    const bool tap_inside = tap < p.taps;
#pragma unroll
    for (int i = 0; i < k_a_rows; ++i) {
      const uint32_t to = stage + swizzled<BK>(r.row + i * k_step, r.chunk);
      const int ih = (r.corner[i] >> 16) + dh, iw = static_cast<int16_t>(r.corner[i]) + dw;
      const bool inside = tap_inside && (p.pointwise || (static_cast<unsigned>(ih) < static_cast<unsigned>(p.ih) &&
                                                         static_cast<unsigned>(iw) < static_cast<unsigned>(p.iw)));
      if (inside) {
        copy_16(to, x + static_cast<int64_t>(r.x_at[i] + delta) * 4);
      } else {
        fill_16(to, p.fill);
      }
    }
  }

  /// The tile's part of the residual on its way into L2 while the products are summed.
  static __device__ __forceinline__ void prefetch_residual(const ConvParams& p, int m, int n0, int group) {
    if (group != 0) return;
    constexpr int k_element = T == ConvType::u8s8 ? 1 : T == ConvType::f16 ? 2 : 4;
    for (int row = m; row < m - static_cast<int>(threadIdx.x % k_group) + BM && row < p.m; row += k_group) {
      const auto* from =
          static_cast<const char*>(p.residual) + (static_cast<int64_t>(row) * p.r_pitch + n0) * k_element;
      for (int at = 0; at < BN * k_element && n0 * k_element + at < p.r_pitch * k_element; at += 128)
        asm volatile("prefetch.global.L2 [%0];" ::"l"(from + at));
    }
  }

  static __device__ __forceinline__ void multiply_stage(Acc (&acc)[k_mi][k_ni][4], uint32_t stage, int wm, int wn,
                                                        int lane) {
    const int a_row = wm * k_m + (lane & 15), a_chunk = lane >> 4;
    const int b_row = wn * k_n + (lane & 7) + (lane >> 4) * 8, b_chunk = lane >> 3 & 1;
#pragma unroll
    for (int k = 0; k < BK / 32; ++k) {
      uint32_t a[k_mi][4], b[k_ni / 2][4];
#pragma unroll
      for (int i = 0; i < k_mi; ++i) load_matrices(a[i], stage + swizzled<BK>(a_row + i * 16, 2 * k + a_chunk));
#pragma unroll
      for (int j = 0; j < k_ni / 2; ++j)
        load_matrices(b[j], stage + BM * BK + swizzled<BK>(b_row + j * 16, 2 * k + b_chunk));
#pragma unroll
      for (int i = 0; i < k_mi; ++i) {
#pragma unroll
        for (int j = 0; j < k_ni; ++j) multiply<T>(acc[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
      }
    }
  }

  static __device__ __forceinline__ void run(const ConvParams& p) {
    extern __shared__ __align__(128) uint8_t shared[];
    const int group = WK == 1 ? 0 : threadIdx.x / k_group, tid = threadIdx.x % k_group;
    const int warp = tid / 32, lane = tid % 32, wm = warp / WN, wn = warp % WN;
    const int n_tiles = (p.oc + BN - 1) / BN, tile = blockIdx.x;
    const int m0 = tile / n_tiles * BM, n0 = tile % n_tiles * BN;
    const uint32_t ring = shared_address(shared) + group * k_ring;
    const int step = WK * gridDim.y, first = blockIdx.y * WK + group;
    const int k_tiles = (p.k_used + BK - 1) / BK;
    const int count = first < k_tiles ? (k_tiles - first + step - 1) / step : 0;
    const Rows rows = rows_of(p, tid, m0, n0);
#pragma unroll
    for (int s = 0; s < Stages - 1; ++s)
      if (s < count) copy_weights(p, rows, ring + s * k_stage, first + s * step);
    grid_wait();
    if (p.epilogue.has_residual) prefetch_residual(p, m0 + tid, n0, group);
#pragma unroll
    for (int s = 0; s < Stages - 1; ++s) {
      if (s < count) copy_pixels(p, rows, ring + s * k_stage, first + s * step);
      commit_copies();
    }
    Acc acc[k_mi][k_ni][4] = {};
    for (int it = 0; it < count; ++it) {
      wait_copies<Stages - 2>();
      group_barrier<k_group>(group);
      const int next = it + Stages - 1;
      if (next < count) {
        const uint32_t stage = ring + next % Stages * k_stage;
        copy_weights(p, rows, stage, first + next * step);
        copy_pixels(p, rows, stage, first + next * step);
      }
      commit_copies();
      if (it == count - 1) grid_trigger();
      multiply_stage(acc, ring + it % Stages * k_stage, wm, wn, lane);
    }
    finish_tile(p, acc, shared, group, tid, m0 + wm * k_m + lane / 4, n0 + wn * k_n + lane % 4 * k_v, tile);
  }

  /// Sums of unit u (row half u % 2 of fragment u / 2) and column group g of this thread.
  static __device__ __forceinline__ void take(Acc (&v)[k_v], const Acc (&acc)[k_mi][k_ni][4], int u, int g) {
#pragma unroll
    for (int i = 0; i < k_v; ++i) v[i] = acc[u / 2][g * (k_pg / 8) + i / 2][u % 2 * 2 + i % 2];
  }

  /// m, oc: of this thread's first row and first column group.
  static __device__ __forceinline__ void finish_tile(const ConvParams& p, Acc (&acc)[k_mi][k_ni][4], uint8_t* shared,
                                                     int group, int tid, int m, int oc, int tile) {
    if constexpr (WK == 1) {
      if (gridDim.y > 1) {
        if constexpr (T == ConvType::u8s8) {
          if (!add_partial(p, acc, tid, tile)) return;
        }
      }
#pragma unroll
      for (int g = 0; g < k_groups; ++g) {
        Acc bias[k_v], v[k_v];
        float multiplier[k_v];
        load_channels<T, k_v>(p, oc + g * k_pg, bias, multiplier);
#pragma unroll
        for (int u = 0; u < k_units; ++u) {
          take(v, acc, u, g);
          finish<T, k_v>(p, m + u / 2 * 16 + u % 2 * 8, oc + g * k_pg, v, bias, multiplier);
        }
      }
    } else {
      finish_groups(p, acc, reinterpret_cast<Acc*>(shared), group, tid, m, oc, tile);
    }
  }

  /// Partial sums of all groups meet in shared memory; group g finishes units g, g + WK, ...
  static __device__ __forceinline__ void finish_groups(const ConvParams& p, const Acc (&acc)[k_mi][k_ni][4], Acc* sums,
                                                       int group, int tid, int m, int oc, int tile) {
    constexpr int k_per_unit = 2 * k_ni;
    wait_copies<0>();
    __syncthreads();  // every group is through with its ring
#pragma unroll
    for (int u = 0; u < k_units; ++u) {
#pragma unroll
      for (int i = 0; i < k_per_unit; ++i)
        sums[((group * k_units + u) * k_per_unit + i) * k_group + tid] = acc[u / 2][i / 2][u % 2 * 2 + i % 2];
    }
    __syncthreads();
    const bool split = gridDim.y > 1;
#pragma unroll
    for (int g = 0; g < k_groups; ++g) {
      Acc bias[k_v], v[k_v];
      float multiplier[k_v];
      load_channels<T, k_v>(p, oc + g * k_pg, bias, multiplier);
      for (int u = group; u < k_units; u += WK) {
#pragma unroll
        for (int i = 0; i < k_v; ++i) {
          Acc sum = 0;
#pragma unroll
          for (int from = 0; from < WK; ++from)
            sum += sums[((from * k_units + u) * k_per_unit + g * k_v + i) * k_group + tid];
          v[i] = sum;
        }
        if (split) {
          if constexpr (T == ConvType::u8s8) {
            for (int i = 0; i < k_v; ++i) atomicAdd(partial_at(p, tile, u, g, i, tid), v[i]);
          }
        } else {
          finish<T, k_v>(p, m + u / 2 * 16 + u % 2 * 8, oc + g * k_pg, v, bias, multiplier);
        }
      }
    }
    if constexpr (T == ConvType::u8s8) {
      if (!split || !is_last(p, tile)) return;
      for (int g = 0; g < k_groups; ++g) {
        int32_t bias[k_v], v[k_v];
        float multiplier[k_v];
        load_channels<T, k_v>(p, oc + g * k_pg, bias, multiplier);
        for (int u = group; u < k_units; u += WK) {
          for (int i = 0; i < k_v; ++i) v[i] = take_partial(partial_at(p, tile, u, g, i, tid));
          finish<T, k_v>(p, m + u / 2 * 16 + u % 2 * 8, oc + g * k_pg, v, bias, multiplier);
        }
      }
    }
  }

  static __device__ __forceinline__ int32_t* partial_at(const ConvParams& p, int tile, int u, int g, int i, int tid) {
    return p.partial + static_cast<size_t>(tile) * BM * BN + ((u * k_groups + g) * k_v + i) * k_group + tid;
  }
  /// The finished sum; zero is left for the next launch.
  static __device__ __forceinline__ int32_t take_partial(int32_t* at) {
    const int32_t sum = __ldcg(at);
    *at = 0;
    return sum;
  }
  /// True in all threads of the CTA that arrives last at the tile.
  static __device__ __forceinline__ bool is_last(const ConvParams& p, int tile) {
    __shared__ int last;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
      last = atomicAdd(&p.arrived[tile], 1) == static_cast<int>(gridDim.y) - 1;
      if (last) p.arrived[tile] = 0;
    }
    __syncthreads();
    if (last) __threadfence();
    return last;
  }
  /// Adds this CTA's sums; in the last CTA acc holds the whole sums afterwards.
  static __device__ __forceinline__ bool add_partial(const ConvParams& p, int32_t (&acc)[k_mi][k_ni][4], int tid,
                                                     int tile) {
#pragma unroll
    for (int u = 0; u < k_units; ++u) {
#pragma unroll
      for (int i = 0; i < 2 * k_ni; ++i)
        atomicAdd(partial_at(p, tile, u, i / k_v, i % k_v, tid), acc[u / 2][i / 2][u % 2 * 2 + i % 2]);
    }
    if (!is_last(p, tile)) return false;
#pragma unroll
    for (int u = 0; u < k_units; ++u) {
#pragma unroll
      for (int i = 0; i < 2 * k_ni; ++i)
        acc[u / 2][i / 2][u % 2 * 2 + i % 2] = take_partial(partial_at(p, tile, u, i / k_v, i % k_v, tid));
    }
    return true;
  }
};

template <class K, int Threads>
__global__ void __launch_bounds__(Threads) conv_kernel(const __grid_constant__ ConvParams p) {
  K::run(p);
}

/// A row of a type's table.
struct ConvEntry {
  ConvTile tile;
  void (*kernel)(ConvParams);
  int threads;
  size_t shared_bytes, stage_bytes;
};

template <ConvType T, int BM, int BN, int WM, int WN, int WK, int BK, int Stages, bool SmallC = false>
ConvEntry conv_entry(const char* name) {
  using K = ConvKernel<T, BM, BN, WM, WN, WK, BK, Stages, SmallC>;
  return {{name, BM, BN, K::k_group, WK, BK, Stages, SmallC},
          conv_kernel<K, K::k_threads>,
          K::k_threads,
          K::k_shared,
          K::k_stage};
}

}  // namespace octet::cuda
