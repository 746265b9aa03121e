#pragma once
// A tile of WM x WN warps, and how the sums of several such groups of warps become outputs: each group has its own part
// of K, the exact sums meet in shared memory (or, where several CTAs share out K, in device memory), and all groups
// finish parts of the tile.

#include "backends/cuda/conv_copies.cuh"
#include "backends/cuda/conv_epilogue.cuh"
#include "backends/cuda/conv_partial.cuh"

namespace octet::cuda {

template <ConvType T, int BM, int BN, int WM, int WN, int WK>
struct ConvGroups {
  static constexpr int k_group = 32 * WM * WN, k_threads = k_group * WK;
  static constexpr int k_m = BM / WM, k_n = BN / WN;  // warp tile
  static constexpr int k_mi = k_m / 16, k_ni = k_n / 8;
  static constexpr int k_pg = k_n < 64 ? k_n : 64, k_groups = k_n / k_pg, k_v = k_pg / 4;
  static constexpr int k_units = 2 * k_mi;  // rows of a thread
  // Where groups share the sums out: channels that a thread finishes at a time, so that no group is left without work,
  // and how many such parts there are.
  static constexpr int k_share = k_v * k_units * k_groups / WK;
  static constexpr int k_f = k_share < 4 ? 4 : k_share > k_v ? k_v : k_share < 8 ? 4 : k_share < 16 ? 8 : 16;
  static constexpr int k_parts = k_units * k_groups * (k_v / k_f);
  static_assert(k_ni % 2 == 0 && k_m % 16 == 0 && k_v % k_f == 0);
  static_assert(WK == 1 || k_group == 32,
                "groups that share out K are single warps: they need no barrier of their own");
  using Acc = typename Accumulator<T>::type;
  using Sums = Acc[k_mi][k_ni][4];
  using Partial = PartialSums<BM, BN>;

  /// Orders a group's accesses to its ring: all threads of the CTA where it is the only group.
  static __device__ __forceinline__ void group_sync() {
    if constexpr (WK == 1) {
      __syncthreads();
    } else {
      __syncwarp();
    }
  }

  /// Part i of what the groups finish: unit (rows) and channels, from the thread's first pixel and channel.
  struct Part {
    int unit, group, channel;  // channel: within the column group's k_v
    __device__ __forceinline__ explicit Part(int i)
        : unit(i / (k_parts / k_units)), group(i % (k_parts / k_units) / (k_v / k_f)), channel(i % (k_v / k_f) * k_f) {}
    __device__ __forceinline__ int m(int first) const { return first + unit / 2 * 16 + unit % 2 * 8; }
    __device__ __forceinline__ int oc(int first) const { return first + group * k_pg + channel; }
  };
  /// What a thread needs to finish its first part, fetched before the sums are there.
  struct First {
    Acc bias[k_f];
    float multiplier[k_f];
    uint32_t residual[k_f / 4];
    __device__ __forceinline__ void load_channels(const ConvParams& p, int oc, int part) {
      if (part < k_parts) cuda::load_channels<T, k_f>(p, Part(part).oc(oc), bias, multiplier);
    }
    __device__ __forceinline__ void load_residual(const ConvParams& p, int m, int oc, int part) {
      const Part at(part);
      if (part < k_parts && at.m(m) < p.m && at.oc(oc) < p.oc)
        cuda::load_residual<k_f>(p, at.m(m), at.oc(oc), residual);
    }
  };

  /// Sums of unit u (row half u % 2 of fragment u / 2) and column group g.
  static __device__ __forceinline__ void take(Acc (&v)[k_v], const Sums& acc, int u, int g) {
#pragma unroll
    for (int i = 0; i < k_v; ++i) v[i] = acc[u / 2][g * (k_pg / 8) + i / 2][u % 2 * 2 + i % 2];
  }

  /// Puts the group's sums where add_group_sums finds them; all groups have to be through with their rings.
  static __device__ __forceinline__ void put_sums(const Sums& acc, Acc* sums, int group, int tid) {
    constexpr int k_per_unit = 2 * k_ni;
#pragma unroll
    for (int u = 0; u < k_units; ++u) {
#pragma unroll
      for (int i = 0; i < k_per_unit; ++i)
        sums[((group * k_units + u) * k_per_unit + i) * k_group + tid] = acc[u / 2][i / 2][u % 2 * 2 + i % 2];
    }
  }
  static __device__ __forceinline__ void add_group_sums(const Acc* sums, const Part& part, int tid, Acc (&v)[k_f]) {
#pragma unroll
    for (int i = 0; i < k_f; ++i) {
      v[i] = 0;
#pragma unroll
      for (int from = 0; from < WK; ++from)
        v[i] += sums[((from * k_units + part.unit) * 2 * k_ni + part.group * k_v + part.channel + i) * k_group + tid];
    }
  }

  /// Partial sums of all groups meet in shared memory; group g finishes parts g, g + WK, ...
  static __device__ __forceinline__ void finish_groups(const ConvParams& p, const Sums& acc, Acc* sums, int group,
                                                       int tid, int m, int oc, int tile, First& first) {
    wait_copies<0>();
    __syncthreads();  // every group is through with its ring
    put_sums(acc, sums, group, tid);
    __syncthreads();
    const bool split = gridDim.y > 1;
    Acc v[k_f];
    for (int i = group; i < k_parts; i += WK) {
      const Part part(i);
      add_group_sums(sums, part, tid, v);
      if constexpr (T == ConvType::u8s8) {
        if (split) {
          int32_t* const at = Partial::at(p, tile) + i * k_f * k_group + tid;
          for (int j = 0; j < k_f; ++j) atomicAdd(at + j * k_group, v[j]);
          continue;
        }
      }
      finish_part(p, part, i == group, m, oc, v, first);
    }
    if constexpr (T == ConvType::u8s8) {
      if (!split || !Partial::is_last(p, tile)) return;
      for (int i = group; i < k_parts; i += WK) {
        int32_t* const from = Partial::at(p, tile) + i * k_f * k_group + tid;
        for (int j = 0; j < k_f; ++j) v[j] = Partial::take(from + j * k_group);
        const Part part(i);
        if (i == group && p.epilogue.has_residual) first.load_residual(p, m, oc, i);
        finish_part(p, part, i == group, m, oc, v, first);
      }
    }
  }

  static __device__ __forceinline__ void finish_part(const ConvParams& p, const Part& part, bool is_first, int m,
                                                     int oc, const Acc (&v)[k_f], First& first) {
    const int at = part.m(m), channel = part.oc(oc);
    if (at >= p.m || channel >= p.oc) return;
    if (!is_first) {
      cuda::load_channels<T, k_f>(p, channel, first.bias, first.multiplier);
      if constexpr (T == ConvType::u8s8)
        if (p.epilogue.has_residual) cuda::load_residual<k_f>(p, at, channel, first.residual);
    }
    if constexpr (T == ConvType::u8s8) {
      finish_codes<k_f>(p, at, channel, v, first.bias, first.multiplier, first.residual);
    } else {
      finish_values<T == ConvType::f16, k_f>(p, at, channel, v, first.bias);
    }
  }
};

}  // namespace octet::cuda
