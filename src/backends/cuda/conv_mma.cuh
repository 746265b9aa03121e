#pragma once
// Implicit-GEMM convolution on tensor cores by mma.sync, for u8 x s8, f16, and f32 (as tf32 or as three tf32 products).
//
//   acc[m, n] = sum over k of x[pixel of m at tap(k), channel(k)] * w[n, k]     M = output pixels, N = output channels
//
// K runs over 16-byte chunks: all chunks of a tap, tap by tap. Both operands are K-contiguous (NHWC activations, packed
// weights), which is what ldmatrix and the row.col form of mma want; all element types share the byte layout, because
// an m16n8 fragment is 16 rows by 32 bytes in each. A chunk outside the image is filled with the code of real zero, so
// borders need no kernel of their own and zero points fold into the bias.
//
// Warps form WK groups of WM x WN; each group runs its own ring over its own part of K (no barrier between groups).
// Weights do not depend on the kernel before, so the first stages of them are fetched before grid_wait().

#include "backends/cuda/conv_groups.cuh"
#include "backends/cuda/conv_products.cuh"

namespace octet::cuda {

/// Stages of a group's ring that hold something when `step` groups share out k_tiles; what is left of shared memory
/// lets CTAs of this kernel and of the next one live side by side.
__host__ __device__ constexpr int stages_used(int k_tiles, int step, int stages) {
  const int most = (k_tiles + step - 1) / step;
  return most < 1 ? 1 : most < stages ? most : stages;
}

template <ConvType T, int BM, int BN, int WM, int WN, int WK, int BK, int Stages, bool SmallC>
struct ConvKernel : ConvGroups<T, BM, BN, WM, WN, WK> {
  using Groups = ConvGroups<T, BM, BN, WM, WN, WK>;
  using Groups::k_group, Groups::k_groups, Groups::k_m, Groups::k_mi, Groups::k_n, Groups::k_ni, Groups::k_pg,
      Groups::k_units, Groups::k_v;
  using typename Groups::Acc;
  using typename Groups::First;
  using Copies = ConvCopies<BM, BN, BK, k_group, k_pg, SmallC>;
  static constexpr int k_stage = Copies::k_stage;
  static constexpr size_t k_shared = size_t{k_stage} * Stages * WK;
  static_assert(WK == 1 || static_cast<size_t>(WK) * BM * BN * 4 <= k_shared, "partial sums reuse the ring");

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
    multiply_tile<T, BM, BK, k_m, k_n>(acc, stage, wm, wn, lane);
  }

  static __device__ __forceinline__ void run(const ConvParams& p) {
    extern __shared__ __align__(128) uint8_t shared[];
    if (p.trigger == Trigger::at_once) grid_trigger();
    const int group = WK == 1 ? 0 : threadIdx.x / k_group, tid = threadIdx.x % k_group;
    const int warp = tid / 32, lane = tid % 32, wm = warp / WN, wn = warp % WN;
    const int n_tiles = (p.oc + BN - 1) / BN, tile = blockIdx.x;
    const int m0 = tile / n_tiles * BM, n0 = tile % n_tiles * BN;
    const int step = WK * gridDim.y, first = blockIdx.y * WK + group;
    const int k_tiles = (p.k_used + BK - 1) / BK;
    const uint32_t ring = shared_address(shared) + group * stages_used(k_tiles, step, Stages) * k_stage;
    const int count = first < k_tiles ? (k_tiles - first + step - 1) / step : 0;
    const auto rows = Copies::rows_of(p, tid, m0, n0);
#pragma unroll 1  // less code to fetch
    for (int s = 0; s < min(Stages - 1, count); ++s)
      Copies::copy_weights(p, rows, ring + s * k_stage, first + s * step);
    typename Copies::Tap taps[Stages - 1];
#pragma unroll
    for (int s = 0; s < Stages - 1; ++s) {
      taps[s] = Copies::tap_of(p, rows, first + s * step);
      taps[s].settle();
    }
    const int m = m0 + wm * k_m + lane / 4, oc = n0 + wn * k_n + lane % 4 * k_v;
    First first_part;
    if constexpr (WK > 1) {
      first_part.load_channels(p, oc, group);
    } else {
      for (int g = 0; g < k_groups; ++g) touch_channels<T>(p, oc + g * k_pg);
    }
    touch_params(p);
    grid_wait();
    if (p.trigger == Trigger::early) grid_trigger();
    if (p.epilogue.has_residual) {
      if (WK > 1 && T == ConvType::u8s8 && gridDim.y == 1)
        first_part.load_residual(p, m, oc, group);
      else
        prefetch_residual(p, m0 + tid, n0, group);
    }
#pragma unroll
    for (int s = 0; s < Stages - 1; ++s) {
      if (s < count) Copies::copy_pixels(p, rows, ring + s * k_stage, taps[s]);
      commit_copies();
    }
    if (count == 0) grid_trigger();  // a thread that never triggers holds the next kernel back until it leaves
    Acc acc[k_mi][k_ni][4] = {};
    for (int it = 0; it < count; ++it) {
      wait_copies<Stages - 2>();
      Groups::group_sync();
      const int next = it + Stages - 1;
      if (next < count) {
        const uint32_t stage = ring + next % Stages * k_stage;
        Copies::copy_weights(p, rows, stage, first + next * step);
        Copies::copy_pixels(p, rows, stage, first + next * step);
      }
      commit_copies();
      if (it == count - 1) grid_trigger();
      multiply_stage(acc, ring + it % Stages * k_stage, wm, wn, lane);
    }
    if constexpr (WK == 1) {
      finish_tile(p, acc, tid, m, oc, tile);
    } else {
      Groups::finish_groups(p, acc, reinterpret_cast<Acc*>(shared), group, tid, m, oc, tile, first_part);
    }
  }

  /// m, oc: of this thread's first row and first column group.
  static __device__ __forceinline__ void finish_tile(const ConvParams& p, Acc (&acc)[k_mi][k_ni][4], int tid, int m,
                                                     int oc, int tile) {
    if (gridDim.y > 1) {
      if constexpr (T == ConvType::u8s8) {
        if (!Groups::Partial::add(p, acc, tid, tile)) return;
      }
    }
#pragma unroll
    for (int g = 0; g < k_groups; ++g) {
      Acc bias[k_v], v[k_v];
      float multiplier[k_v];
      cuda::load_channels<T, k_v>(p, oc + g * k_pg, bias, multiplier);
#pragma unroll
      for (int u = 0; u < k_units; ++u) {
        Groups::take(v, acc, u, g);
        finish<T, k_v>(p, m + u / 2 * 16 + u % 2 * 8, oc + g * k_pg, v, bias, multiplier);
      }
    }
  }
};

}  // namespace octet::cuda
