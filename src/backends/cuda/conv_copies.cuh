#pragma once
// How the operands of a tile come into shared memory: 16-byte chunks of K, brought by cp.async into rows of BK bytes
// that are XOR-swizzled, so that neither the copies nor ldmatrix meet bank conflicts.
//
// The rows of a B tile are permuted so that a thread's accumulators are neighbouring output channels: its codes leave
// as one 16-byte store (8 or 4 bytes for narrow warps), straight from registers.

#include "backends/cuda/mma.cuh"

namespace octet::cuda {

/// The output channel of row n of a B tile, within the tile: PG columns of a warp are NB blocks of 8, and thread t of
/// a quad owns columns 2t, 2t + 1 of each block, which become channels t * 2 NB .. t * 2 NB + 2 NB - 1.
template <int PG>
__device__ __forceinline__ int channel_of_row(int n) {
  constexpr int NB = PG / 8;
  const int in = n % PG, b = in / 8, t = in % 8 / 2;
  return n - in + t * 2 * NB + 2 * b + in % 2;
}

/// BM pixels and BN channels by BK bytes of K, copied by Threads threads.
template <int BM, int BN, int BK, int Threads, int PG, bool SmallC>
struct ConvCopies {
  static constexpr int k_chunks = BK / 16, k_step = Threads / k_chunks;  // rows from one copy of a thread to the next
  static constexpr int k_a_rows = BM / k_step, k_b_rows = BN / k_step;
  static constexpr int k_stage = (BM + BN) * BK;
  static_assert(BM % k_step == 0 && BN % k_step == 0);

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
      const int n = n0 + channel_of_row<PG>(r.row + i * k_step);
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

  /// The tap of a thread's chunk of tile kt of K, as offsets from its windows' corners.
  struct Tap {
    int dh, dw, delta;  // delta: words; dh far outside where there is no tap
    /// Now rather than where it is used: before a wait, say.
    __device__ __forceinline__ void settle() { asm volatile("" : "+r"(dh), "+r"(dw), "+r"(delta)); }
  };
  static __device__ __forceinline__ Tap tap_of(const ConvParams& p, const Rows& r, int kt) {
    const int kc = kt * k_chunks + r.chunk;
    const int tap = div(p.by_chunks, kc), c = kc - tap * p.by_chunks.d;
    if constexpr (SmallC) {
      return {tap < p.taps ? tap * p.dilation_h : k_nowhere, c * 4, 0};
    } else {
      const int kh = div(p.by_kw, tap), kw = tap - kh * p.by_kw.d;
      const int dh = kh * p.dilation_h, dw = kw * p.dilation_w;
      return {tap < p.taps ? dh : k_nowhere, dw, (dh * p.iw + dw) * (p.x_pitch / 4) + c * 4};
    }
  }

  /// A tap is a row of the window, a chunk four of its pixels.
  static __device__ __forceinline__ void copy_window_rows(const ConvParams& p, const Rows& r, uint32_t stage,
                                                          const Tap& tap) {
    const auto* x = static_cast<const char*>(p.x);
#pragma unroll
    for (int i = 0; i < k_a_rows; ++i) {
      const uint32_t to = stage + swizzled<BK>(r.row + i * k_step, r.chunk);
      const int ih = (r.corner[i] >> 16) + tap.dh, iw0 = static_cast<int16_t>(r.corner[i]);
      const bool row_inside = static_cast<unsigned>(ih) < static_cast<unsigned>(p.ih);
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int dw = (tap.dw + j) * p.dilation_w;
        if (row_inside && static_cast<unsigned>(iw0 + dw) < static_cast<unsigned>(p.iw)) {
          copy_4(to + 4 * j, x + static_cast<int64_t>(r.x_at[i] + tap.dh * p.iw + dw) * 4);
        } else {
          fill_4(to + 4 * j, p.fill);
        }
      }
    }
  }
  static __device__ __forceinline__ void copy_channels(const ConvParams& p, const Rows& r, uint32_t stage,
                                                       const Tap& tap) {
    const auto* x = static_cast<const char*>(p.x);
#pragma unroll
    for (int i = 0; i < k_a_rows; ++i) {
      const uint32_t to = stage + swizzled<BK>(r.row + i * k_step, r.chunk);
      const int ih = (r.corner[i] >> 16) + tap.dh, iw = static_cast<int16_t>(r.corner[i]) + tap.dw;
      const bool inside = static_cast<unsigned>(ih) < static_cast<unsigned>(p.ih) &&
                          (p.pointwise || static_cast<unsigned>(iw) < static_cast<unsigned>(p.iw));
      if (inside) {
        copy_16(to, x + static_cast<int64_t>(r.x_at[i] + tap.delta) * 4);
      } else {
        fill_16(to, p.fill);
      }
    }
  }
  static __device__ __forceinline__ void copy_pixels(const ConvParams& p, const Rows& r, uint32_t stage,
                                                     const Tap& tap) {
    if constexpr (SmallC) {
      copy_window_rows(p, r, stage, tap);
    } else {
      copy_channels(p, r, stage, tap);
    }
  }
  static __device__ __forceinline__ void copy_pixels(const ConvParams& p, const Rows& r, uint32_t stage, int kt) {
    copy_pixels(p, r, stage, tap_of(p, r, kt));
  }

 private:
  static constexpr int k_nowhere = 1 << 20;  // windows reach no such row
};

}  // namespace octet::cuda
