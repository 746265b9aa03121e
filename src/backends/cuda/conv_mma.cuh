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

#include "backends/cuda/conv_epilogue.cuh"

namespace octet::cuda {

/// The output channel of row n of a B tile, within the tile: PG columns of a warp are NB blocks of 8, and thread t of
/// a quad owns columns 2t, 2t + 1 of each block, which become channels t * 2 NB .. t * 2 NB + 2 NB - 1.
template <int PG>
__device__ __forceinline__ int channel_of_row(int n) {
  constexpr int NB = PG / 8;
  const int in = n % PG, b = in / 8, t = in % 8 / 2;
  return n - in + t * 2 * NB + 2 * b + in % 2;
}

/// Stages of a group's ring that hold something when `step` groups share out k_tiles; what is left of shared memory
/// lets CTAs of this kernel and of the next one live side by side.
__host__ __device__ constexpr int stages_used(int k_tiles, int step, int stages) {
  const int most = (k_tiles + step - 1) / step;
  return most < 1 ? 1 : most < stages ? most : stages;
}

template <ConvType T, int BM, int BN, int WM, int WN, int WK, int BK, int Stages, bool SmallC>
struct ConvKernel {
  static constexpr int k_group = 32 * WM * WN, k_threads = k_group * WK;
  static constexpr int k_chunks = BK / 16, k_step = k_group / k_chunks;  // rows from one copy of a thread to the next
  static constexpr int k_a_rows = BM / k_step, k_b_rows = BN / k_step;
  static constexpr int k_stage = (BM + BN) * BK;
  static constexpr int k_m = BM / WM, k_n = BN / WN;  // warp tile
  static constexpr int k_mi = k_m / 16, k_ni = k_n / 8;
  static constexpr int k_pg = k_n < 64 ? k_n : 64, k_groups = k_n / k_pg, k_v = k_pg / 4;
  static constexpr int k_units = 2 * k_mi;  // rows of a thread
  // Where groups share the sums out: channels that a thread finishes at a time, so that no group is left without work,
  // and how many such parts there are.
  static constexpr int k_share = k_v * k_units * k_groups / WK;
  static constexpr int k_f = k_share < 4 ? 4 : k_share > k_v ? k_v : k_share;
  static constexpr int k_parts = k_units * k_groups * (k_v / k_f);
  static constexpr size_t k_shared = size_t{k_stage} * Stages * WK;
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
    const int step = WK * gridDim.y, first = blockIdx.y * WK + group;
    const int k_tiles = (p.k_used + BK - 1) / BK;
    const uint32_t ring = shared_address(shared) + group * stages_used(k_tiles, step, Stages) * k_stage;
    const int count = first < k_tiles ? (k_tiles - first + step - 1) / step : 0;
    const Rows rows = rows_of(p, tid, m0, n0);
#pragma unroll
    for (int s = 0; s < Stages - 1; ++s)
      if (s < count) copy_weights(p, rows, ring + s * k_stage, first + s * step);
    const int m = m0 + wm * k_m + lane / 4, oc = n0 + wn * k_n + lane % 4 * k_v;
    First first_part;
    if constexpr (WK > 1) first_part.load_channels(p, oc, group);
    grid_wait();
    if (p.early_trigger) grid_trigger();
    if (p.epilogue.has_residual) {
      if (WK > 1 && T == ConvType::u8s8 && gridDim.y == 1)
        first_part.load_residual(p, m, oc, group);
      else
        prefetch_residual(p, m0 + tid, n0, group);
    }
#pragma unroll
    for (int s = 0; s < Stages - 1; ++s) {
      if (s < count) copy_pixels(p, rows, ring + s * k_stage, first + s * step);
      commit_copies();
    }
    if (count == 0) grid_trigger();  // a thread that never triggers holds the next kernel back until it leaves
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
    if constexpr (WK == 1) {
      finish_tile(p, acc, tid, m, oc, tile);
    } else {
      finish_groups(p, acc, reinterpret_cast<Acc*>(shared), group, tid, m, oc, tile, first_part);
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

  /// Sums of unit u (row half u % 2 of fragment u / 2) and column group g of this thread.
  static __device__ __forceinline__ void take(Acc (&v)[k_v], const Acc (&acc)[k_mi][k_ni][4], int u, int g) {
#pragma unroll
    for (int i = 0; i < k_v; ++i) v[i] = acc[u / 2][g * (k_pg / 8) + i / 2][u % 2 * 2 + i % 2];
  }

  /// m, oc: of this thread's first row and first column group.
  static __device__ __forceinline__ void finish_tile(const ConvParams& p, Acc (&acc)[k_mi][k_ni][4], int tid, int m,
                                                     int oc, int tile) {
    if (gridDim.y > 1) {
      if constexpr (T == ConvType::u8s8) {
        if (!add_partial(p, acc, tid, tile)) return;
      }
    }
#pragma unroll
    for (int g = 0; g < k_groups; ++g) {
      Acc bias[k_v], v[k_v];
      float multiplier[k_v];
      cuda::load_channels<T, k_v>(p, oc + g * k_pg, bias, multiplier);
#pragma unroll
      for (int u = 0; u < k_units; ++u) {
        take(v, acc, u, g);
        finish<T, k_v>(p, m + u / 2 * 16 + u % 2 * 8, oc + g * k_pg, v, bias, multiplier);
      }
    }
  }

  /// Puts the group's sums where add_group_sums finds them; all groups have to be through with their rings.
  static __device__ __forceinline__ void put_sums(const Acc (&acc)[k_mi][k_ni][4], Acc* sums, int group, int tid) {
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
  static __device__ __forceinline__ void finish_groups(const ConvParams& p, const Acc (&acc)[k_mi][k_ni][4], Acc* sums,
                                                       int group, int tid, int m, int oc, int tile, First& first) {
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
          for (int j = 0; j < k_f; ++j) atomicAdd(partial_at(p, tile, i, j, tid), v[j]);
          continue;
        }
      }
      finish_part(p, part, i == group, m, oc, v, first);
    }
    if constexpr (T == ConvType::u8s8) {
      if (!split || !is_last(p, tile)) return;
      for (int i = group; i < k_parts; i += WK) {
        for (int j = 0; j < k_f; ++j) v[j] = take_partial(partial_at(p, tile, i, j, tid));
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

  /// Parts of k_f sums of a tile, one after the other.
  static __device__ __forceinline__ int32_t* partial_at(const ConvParams& p, int tile, int part, int j, int tid) {
    return p.partial + static_cast<size_t>(tile) * BM * BN + (part * k_f + j) * k_group + tid;
  }
  /// The same for kernels of one group: unit u, element i of column group g.
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
