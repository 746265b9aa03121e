#pragma once
// The integer convolution of few pixels and long sums (compute capability 9.0): the CTAs of a cluster share out K, and
// their exact sums meet through distributed shared memory. Tiles and inner loop are those of conv_mma.cuh.
//
// Joined: two convolutions whose outputs have the same place are one. K runs through the first and then through the
// second; the first's sums become codes, which are the second's residual and never leave the registers.
#include "backends/cuda/cluster.h"
#include "backends/cuda/conv_mma.cuh"
#include "backends/cuda/conv_slots.cuh"
#include "backends/cuda/conv_source.cuh"

namespace octet::cuda {

template <int BM, int BN, int WM, int WN, int WK, int BK, int Stages, bool Joined>
struct ClusterKernel : ConvKernel<ConvType::u8s8, BM, BN, WM, WN, WK, BK, Stages, false> {
  using Base = ConvKernel<ConvType::u8s8, BM, BN, WM, WN, WK, BK, Stages, false>;
  using Copies = typename Base::Copies;
  using Part = typename Base::Part;
  using Sums = typename Base::Sums;
  static constexpr int k_group = Base::k_group, k_stage = Base::k_stage, k_v = Base::k_v, k_f = Base::k_f;
  static constexpr int k_convs = Joined ? 2 : 1;
  // Two small CTAs a multiprocessor: this kernel's and the next one's, which fetches its weights.
  static constexpr int k_resident = BM * BN <= (Joined ? 512 : 1024) ? 2 : 1;
  static constexpr size_t k_sums_bytes = size_t{4} * WK * BM * BN;  // of one convolution
  using Slots = ClusterSlots<Base, BM, BN, WK, k_convs>;
  static constexpr size_t k_slots_bytes = Slots::k_bytes;
  using Source = ConvSource<Copies, Joined>;

  static __device__ __forceinline__ int tiles_of(const ConvParams& p) { return (p.k_used + BK - 1) / BK; }
  /// Bytes of the ring, which the sums of the groups take over; the slots lie behind them.
  static __host__ __device__ int ring_bytes(int k_tiles, int split) {
    const int ring = stages_used(k_tiles, WK * split, Stages) * WK * k_stage;
    constexpr int k_sums = static_cast<int>(k_convs * k_sums_bytes);
    return ring > k_sums ? ring : k_sums;
  }

  /// before: the first of two joined convolutions, else p itself.
  static __device__ __forceinline__ void run(const ConvParams& p, const ConvParams& before) {
    extern __shared__ __align__(128) uint8_t shared[];
    if (p.trigger == Trigger::at_once) grid_trigger();
    const bool alone = gridDim.y == 1;
    if (!alone) cluster_arrive();  // this CTA has begun: others may write to its shared memory
    const int group = threadIdx.x / k_group, tid = threadIdx.x % k_group;
    const int warp = tid / 32, lane = tid % 32, wm = warp / WN, wn = warp % WN;
    const int n_tiles = (p.oc + BN - 1) / BN, tile = blockIdx.x;
    const int m0 = tile / n_tiles * BM, n0 = tile % n_tiles * BN;
    const int step = WK * gridDim.y, first = blockIdx.y * WK + group;
    const int k_before = Joined ? tiles_of(before) : 0, k_tiles = k_before + tiles_of(p);
    const uint32_t ring = shared_address(shared) + group * stages_used(k_tiles, step, Stages) * k_stage;
    const int count = first < k_tiles ? (k_tiles - first + step - 1) / step : 0;
    Source source{p, before, Copies::rows_of(p, tid, m0, n0), {}, k_before};
    if constexpr (Joined) source.rows_before = Copies::rows_of(before, tid, m0, n0);
#pragma unroll 1
    for (int s = 0; s < min(Stages - 1, count); ++s) source.weights(ring + s * k_stage, first + s * step);
    typename Copies::Tap taps[Stages - 1];
#pragma unroll
    for (int s = 0; s < Stages - 1; ++s) {
      taps[s] = source.tap(first + s * step);
      taps[s].settle();
    }
    // Parts go to the CTAs of the cluster in turn.
    const int m = m0 + wm * Base::k_m + lane / 4, oc = n0 + wn * Base::k_n + lane % 4 * k_v;
    const int first_part = group * gridDim.y + blockIdx.y;
    typename Base::First own, own_before;
    own.load_channels(p, oc, first_part);
    if constexpr (Joined) own_before.load_channels(before, oc, first_part);
    touch_params(p);
    if constexpr (Joined) touch_params(before);
    grid_wait();
    if (p.trigger == Trigger::early || count == 0) grid_trigger();
    if (!Joined && p.epilogue.has_residual) own.load_residual(p, m, oc, first_part);
#pragma unroll
    for (int s = 0; s < Stages - 1; ++s) {
      if (s < count) source.pixels(ring + s * k_stage, first + s * step, taps[s]);
      commit_copies();
    }
    Sums acc = {}, acc_before = {};
    for (int it = 0; it < count; ++it) {
      wait_copies<Stages - 2>();
      Base::group_sync();
      const int next = it + Stages - 1;
      if (next < count) {
        const uint32_t stage = ring + next % Stages * k_stage;
        source.weights(stage, first + next * step);
        source.pixels(stage, first + next * step, source.tap(first + next * step));
      }
      commit_copies();
      if (it == count - 1) grid_trigger();
      if (Joined && first + it * step < k_before) {
        Base::multiply_stage(acc_before, ring + it % Stages * k_stage, wm, wn, lane);
      } else {
        Base::multiply_stage(acc, ring + it % Stages * k_stage, wm, wn, lane);
      }
    }
    auto* const sums = reinterpret_cast<int32_t*>(shared);
    auto* const slots = reinterpret_cast<int32_t*>(shared + ring_bytes(k_tiles, gridDim.y));
    wait_copies<0>();
    __syncthreads();  // every group is through with its ring
    Base::put_sums(acc, sums, group, tid);
    if constexpr (Joined) Base::put_sums(acc_before, sums + WK * BM * BN, group, tid);
    __syncthreads();
    if (!alone) {
      cluster_wait();  // all have begun
      Slots::send(sums, slots);
      cluster_sync();
    }
    for (int i = first_part; i < Base::k_parts; i += step) {
      const Part part(i);
      const int at = part.m(m), channel = part.oc(oc);
      int32_t v[k_f], v_before[k_f];
      Slots::gather(sums, slots, i, 0, tid, alone, v);
      if constexpr (Joined) Slots::gather(sums, slots, i, 1, tid, alone, v_before);
      if (at >= p.m || channel >= p.oc) continue;
      if constexpr (Joined) {
        if (i != first_part) {
          own.load_channels(p, oc, i);
          own_before.load_channels(before, oc, i);
        }
        float codes[k_f];
        sums_to_floats<k_f>(before, v_before, own_before.bias, codes);
#pragma unroll
        for (int j = 0; j < k_f; ++j) codes[j] = __fmul_rn(codes[j], own_before.multiplier[j]);
        to_codes<k_f>(before.epilogue, codes, own.residual);
        finish_codes<k_f>(p, at, channel, v, own.bias, own.multiplier, own.residual);
      } else {
        Base::finish_part(p, part, i == first_part, m, oc, v, own);
      }
    }
  }
};

}  // namespace octet::cuda
