#pragma once
// Shared memory of the kernels of conv_block.cuh and the thread that fills it.

#include "backends/cuda/conv_chain_producer.cuh"

namespace octet::cuda {

/// 64 * WG pixels, C channels of the window's outputs, N of the last; K of the window by C bytes.
template <int WG, int C, int N>
struct BlockProducer {
  static constexpr int BM = 64 * WG, BK = C, k_columns = 64;
  static constexpr int k_a = BM * BK, k_b = C * BK;
  static constexpr int k_middle = k_columns * C, k_last = N * k_columns, k_residual = BM * k_columns;
  static constexpr int k_channels = k_middle + k_last + k_residual;
  static constexpr int k_stage = k_a + k_b > k_channels ? k_a + k_b : k_channels;
  static constexpr int k_fit = (232448 - 1024 - 256) / k_stage, k_stages = k_fit < 12 ? k_fit : 12;
  static constexpr size_t k_shared = 1024 + size_t{k_stage} * k_stages + 16 * k_stages;
  static_assert(k_stage % 1024 == 0 && k_stages >= 4 && (C == 64 || C == 128));

  /// Stages and their barriers. A stage of the middle: its weights, the last one's, the residual.
  struct Memory {
    uint32_t base;
    __device__ uint32_t stage(int s) const { return base + s * k_stage; }
    __device__ uint32_t full(int s) const { return base + k_stages * k_stage + 16 * s; }
    __device__ uint32_t empty(int s) const { return full(s) + 8; }
  };

  static __device__ __forceinline__ void load_window_weights(const ConvParams& p, const Memory& memory, int s, int kt) {
    barrier_expect(memory.full(s), k_a + k_b);
    const auto* w = static_cast<const char*>(p.w);
#pragma unroll
    for (int g = 0; g < C / 64; ++g)
      bulk_copy(memory.stage(s) + k_a + g * 64 * BK, w + (static_cast<int64_t>(g) * (p.k_bytes / BK) + kt) * (64 * BK),
                64 * BK, memory.full(s));
  }
  /// What 64 channels of the middle need.
  static __device__ __forceinline__ void load_channels(const ChainTmaParams& t, const Memory& memory, int s, int g,
                                                       int m0) {
    const uint32_t bar = memory.full(s), to = memory.stage(s);
    const bool residual = t.first.conv.epilogue.has_residual;
    barrier_expect(bar, k_middle + k_last + (residual ? k_residual : 0));
    constexpr int k_block = 64 * k_columns;
    bulk_copy(
        to, static_cast<const char*>(t.first.conv.w) + static_cast<int64_t>(g) * (t.first.conv.k_bytes / 64) * k_block,
        k_middle, bar);
#pragma unroll
    for (int n = 0; n < N / 64; ++n)
      bulk_copy(to + k_middle + n * k_block,
                static_cast<const char*>(t.last.w) + (static_cast<int64_t>(n) * (t.last.k_bytes / 64) + g) * k_block,
                k_block, bar);
    if (residual) load_box(to + k_middle + k_last, &t.first.residual, g * k_columns, m0, bar);
  }

  /// One thread.
  static __device__ __forceinline__ void produce(const ChainTmaParams& t, const Memory& memory, int tiles) {
    const ConvParams& p = t.before.conv;
    const int k_tiles = p.k_used / BK, chunks = t.first.conv.oc / k_columns, early = min(k_stages, k_tiles);
    if (t.last.trigger == Trigger::at_once) grid_trigger();
    for (int kt = 0; kt < early; ++kt) load_window_weights(p, memory, kt, kt);
    grid_wait();
    if (t.last.trigger == Trigger::early) grid_trigger();
    ChainTurn ring{k_stages};
    int count = 0;
    for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
      const int m0 = tile * BM, image = div(p.by_plane, m0), in_plane = m0 - image * p.by_plane.d;
      const int oh = div(p.by_ow, in_plane), ow = in_plane - oh * p.ow;
      const int h = oh * p.stride_h - p.pad_top, w = ow * p.stride_w - p.pad_left;
      int c = 0, dh = 0, dw = 0;
      for (int kt = 0; kt < k_tiles; ++kt, ++count, ring.next()) {
        if (count >= early) {
          barrier_wait(memory.empty(ring.at), ring.parity ^ 1);
          load_window_weights(p, memory, ring.at, kt);
        }
        load_pixels(memory.stage(ring.at), &t.before.x, c, w, h, image, dw, dh, memory.full(ring.at));
        c += BK;
        if (c < p.x_pitch) continue;
        c = 0, dw += p.dilation_w;
        if (dw == p.kw * p.dilation_w) dw = 0, dh += p.dilation_h;
      }
      for (int g = 0; g < chunks; ++g, ++count, ring.next()) {
        barrier_wait(memory.empty(ring.at), ring.parity ^ 1);
        load_channels(t, memory, ring.at, g, m0);
      }
    }
    grid_trigger();
  }
};

}  // namespace octet::cuda
