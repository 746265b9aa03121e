#pragma once
// Shared memory of the kernels of conv_chain.cuh and the thread that fills it.

#include "backends/cuda/conv_tma_producer.cuh"

namespace octet::cuda {

/// How shared memory is used; sizes in bytes.
struct ChainShape {
  int tiles_before = 0, tiles_first = 1;  // of K
  int pixels = 0;                         // of both convolutions
  int stage = 0, stages = 0, buffers = 0;
};

/// What the kernel is told.
struct ChainTmaParams {
  TmaParams before, first;
  ConvParams last;
  ChainShape shape;
};

/// A place that goes round.
struct ChainTurn {
  int count, at = 0;
  uint32_t parity = 0;
  __device__ void next() {
    if (++at == count) at = 0, parity ^= 1;
  }
};

template <int WG, int N, int BK, bool IsJoined>
struct ChainProducer {
  static constexpr int BM = 64 * WG, k_columns = 64;
  static constexpr int k_box = BM * BK, k_w = k_columns * BK, k_w_last = N * k_columns, k_residual = BM * k_columns;

  /// Places in shared memory and the barriers behind them.
  struct Memory {
    const ChainShape& shape;
    uint32_t base;
    __device__ uint32_t pixels(int buffer) const { return base + buffer * shape.pixels; }
    __device__ uint32_t stage(int s) const { return pixels(shape.buffers) + s * shape.stage; }
    __device__ uint32_t barriers() const { return stage(shape.stages); }
    __device__ uint32_t full(int s) const { return barriers() + 16 * s; }
    __device__ uint32_t empty(int s) const { return barriers() + 16 * s + 8; }
    __device__ uint32_t pixels_full(int b) const { return full(shape.stages + b); }
    __device__ uint32_t pixels_empty(int b) const { return empty(shape.stages + b); }
    // Within a stage: weights of `before`, of `first`, of `last`, residual.
    __device__ uint32_t w_first(int s) const { return stage(s) + (IsJoined ? shape.tiles_before * k_w : 0); }
    __device__ uint32_t w_last(int s) const { return w_first(s) + shape.tiles_first * k_w; }
    __device__ uint32_t residual(int s) const { return w_last(s) + k_w_last; }
  };
  static __device__ __forceinline__ void load_rows(uint32_t to, const ConvParams& p, int tiles, int columns,
                                                   uint32_t bar) {
    const auto* w = static_cast<const char*>(p.w);
    bulk_copy(to, w + static_cast<int64_t>(columns) * (p.k_bytes / BK) * k_w, tiles * k_w, bar);
  }
  /// What a stage has that no kernel before this one makes.
  static __device__ __forceinline__ void load_weights(const ChainTmaParams& t, const Memory& memory, int s,
                                                      int columns) {
    const uint32_t bar = memory.full(s);
    barrier_expect(bar, static_cast<uint32_t>(t.shape.stage));
    if constexpr (IsJoined) load_rows(memory.stage(s), t.before.conv, t.shape.tiles_before, columns, bar);
    load_rows(memory.w_first(s), t.first.conv, t.shape.tiles_first, columns, bar);
    const auto* w = static_cast<const char*>(t.last.w);
#pragma unroll
    for (int g = 0; g < N / 64; ++g)
      bulk_copy(memory.w_last(s) + g * 64 * k_columns,
                w + (static_cast<int64_t>(g) * (t.last.k_bytes / k_columns) + columns) * (64 * k_columns),
                64 * k_columns, bar);
  }

  static __device__ __forceinline__ void load_tile(uint32_t to, const TmaParams& t, int tiles, int m0, uint32_t bar) {
    const ConvParams& p = t.conv;
    const int image = div(p.by_plane, m0), in_plane = m0 - image * p.by_plane.d;
    const int oh = div(p.by_ow, in_plane), ow = in_plane - oh * p.ow;
    for (int kt = 0; kt < tiles; ++kt) {
      if (t.as_matrix) {
        load_box(to + kt * k_box, &t.x, kt * BK, m0, bar);
      } else {
        load_pixels(to + kt * k_box, &t.x, kt * BK, ow * p.stride_w - p.pad_left, oh * p.stride_h - p.pad_top, image, 0,
                    0, bar);
      }
    }
  }

  /// One thread.
  static __device__ __forceinline__ void produce(const ChainTmaParams& t, const Memory& memory, int tiles) {
    const ConvParams& p = t.first.conv;
    const int chunks = p.oc / k_columns, early = min(t.shape.stages, chunks);
    const bool residual = !IsJoined && p.epilogue.has_residual;
    if (t.last.trigger == Trigger::at_once) grid_trigger();
    for (int g = 0; g < early; ++g) load_weights(t, memory, g, g);
    grid_wait();
    if (t.last.trigger == Trigger::early) grid_trigger();
    ChainTurn ring{t.shape.stages}, buffer{t.shape.buffers};
    bool is_first = true;
    for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x, buffer.next()) {
      const int m0 = tile * BM;
      const uint32_t to = memory.pixels(buffer.at), bar = memory.pixels_full(buffer.at);
      barrier_wait(memory.pixels_empty(buffer.at), buffer.parity ^ 1);
      barrier_expect(bar, static_cast<uint32_t>(t.shape.pixels));
      if constexpr (IsJoined) load_tile(to, t.before, t.shape.tiles_before, m0, bar);
      load_tile(to + (IsJoined ? t.shape.tiles_before * k_box : 0), t.first, t.shape.tiles_first, m0, bar);
      for (int g = 0; g < chunks; ++g, ring.next()) {
        if (!is_first || g >= early) {
          barrier_wait(memory.empty(ring.at), ring.parity ^ 1);
          load_weights(t, memory, ring.at, g);
        }
        if (residual) load_box(memory.residual(ring.at), &t.first.residual, g * k_columns, m0, memory.full(ring.at));
      }
      is_first = false;
    }
    grid_trigger();
  }
};

}  // namespace octet::cuda
