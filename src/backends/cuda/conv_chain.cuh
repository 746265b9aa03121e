#pragma once
// Two integer convolutions of 1x1 in one kernel, the second of the first one's output, on Hopper's warpgroup
// instructions; as where one bottleneck of a network of residual blocks ends and the next one begins. The first one's
// output is stored, since others may read it, and not read again: that is what the kernel saves.
//
// A CTA takes BM pixels and all their channels. The first's pixels stay in shared memory; its channels are made 64 at a
// time. What a thread holds of them when they are codes is 16 channels of two pixels, and the second product takes its
// first operand from registers: a fragment wants four bytes of K here and four there of the same two pixels. Which
// channels those are is a matter of how the weights are packed (turn_columns). So the codes go into the second product
// where they are, and its sums wait in registers until all channels have passed.
//
// A stage of the ring is what 64 channels need: their weights, the second's weights for them and their residual.
// Joined: the residual is the output of another 1x1 convolution, which is computed first, as in conv_tma.cuh.

#include "backends/cuda/conv_tma_finish.cuh"
#include "backends/cuda/hopper_registers.cuh"

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

template <int WG, int N, int BK, bool IsJoined>
struct ChainKernel {
  static constexpr int BM = 64 * WG, k_threads = 128 * (WG + 1), k_columns = 64;
  static constexpr int k_consumer_registers = WG == 3 ? 160 : 232, k_producer_registers = WG == 3 ? 32 : 40;
  static constexpr int k_box = BM * BK, k_w = k_columns * BK, k_w_last = N * k_columns, k_residual = BM * k_columns;

  template <int Columns, bool J>
  struct Part {
    static constexpr ConvType T = ConvType::u8s8;
    static constexpr int BN = Columns, k_element = 1;
    static constexpr bool k_codes = true, Joined = J;
    using Acc = int32_t;
  };
  using First = TmaFinish<Part<k_columns, IsJoined>>;
  using Last = TmaFinish<Part<N, false>>;
  using Residual = typename First::Residual;

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
  /// A place that goes round.
  struct Turn {
    int count, at = 0;
    uint32_t parity = 0;
    __device__ void next() {
      if (++at == count) at = 0, parity ^= 1;
    }
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
    Turn ring{t.shape.stages}, buffer{t.shape.buffers};
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

  static __device__ __forceinline__ void release(uint32_t bar) {
    __syncwarp();
    if (threadIdx.x % 32 == 0) barrier_arrive(bar);
  }

  static __device__ __forceinline__ void multiply(int32_t (&acc)[32], uint32_t pixels, uint32_t w, int tiles,
                                                  int group) {
    wgmma_fence();
    for (int kt = 0; kt < tiles; ++kt) {
      const uint64_t a = descriptor<BK>(pixels + kt * k_box + group * 64 * BK), b = descriptor<BK>(w + kt * k_w);
#pragma unroll
      for (int k = 0; k < BK / 32; ++k) wgmma_s8(acc, a + 2 * k, b + 2 * k, kt > 0 || k > 0);
    }
    wgmma_commit();
  }

  static __device__ __forceinline__ void multiply_codes(int32_t (&sums)[N / 2], const uint32_t (&codes)[2][4],
                                                        uint32_t w, bool add) {
    const uint64_t b = descriptor<k_columns>(w);
    const uint32_t low[4] = {codes[0][0], codes[1][0], codes[0][1], codes[1][1]},
                   high[4] = {codes[0][2], codes[1][2], codes[0][3], codes[1][3]};
    wgmma_fence();
    wgmma_s8(sums, low, b, add);
    wgmma_s8(sums, high, b + 2, 1);
    wgmma_commit();
  }

  template <Residual R>
  static __device__ __forceinline__ void codes_of(const ConvParams& p, const int32_t (&acc)[32], int oc, uint32_t from,
                                                  const uint32_t (&kept)[2][4], int m, uint32_t (&codes)[2][4]) {
    First::template codes_of<R>(p, acc, 0, oc, from, kept, codes);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = m + half * 8;
      if (row < p.m)
        store_words<4>(static_cast<uint8_t*>(p.y) + static_cast<size_t>(row) * p.y_pitch + oc, codes[half]);
    }
  }

  template <Residual R>
  static __device__ __forceinline__ void consume(const ChainTmaParams& t, const Memory& memory, int tiles, int group) {
    const ConvParams& p = t.first.conv;
    const int chunks = p.oc / k_columns, lane = threadIdx.x % 32;
    const int row = group * 64 + static_cast<int>(threadIdx.x) / 32 % 4 * 16 + lane / 4, column = lane % 4 * 16;
    Turn ring{t.shape.stages}, buffer{t.shape.buffers};
    for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x, buffer.next()) {
      const int m0 = tile * BM;
      int32_t sums[N / 2];
      int before = 0;
      barrier_wait(memory.pixels_full(buffer.at), buffer.parity);
      for (int g = 0; g < chunks; ++g) {
        const int s = ring.at, oc = g * k_columns + column;
        uint32_t pixels = memory.pixels(buffer.at), codes[2][4], kept[2][4] = {};
        int32_t acc[32];
        barrier_wait(memory.full(s), ring.parity);
        if constexpr (IsJoined) {
          multiply(acc, pixels, memory.stage(s), t.shape.tiles_before, group);
          wgmma_wait<0>();
          First::template codes_of<Residual::none>(t.before.conv, acc, 0, oc, 0, kept, kept);
          pixels += t.shape.tiles_before * k_box;
        }
        multiply(acc, pixels, memory.w_first(s), t.shape.tiles_first, group);
        wgmma_wait<0>();
        // The products of the stage before this one are through too.
        if (g > 0) release(memory.empty(before));
        if (g + 1 == chunks) release(memory.pixels_empty(buffer.at));
        codes_of<R>(p, acc, oc, memory.residual(s) + row * k_columns + column, kept, m0 + row, codes);
        multiply_codes(sums, codes, memory.w_last(s), g > 0);
        before = s;
        ring.next();
      }
      wgmma_wait<0>();
      release(memory.empty(before));
      const typename Last::Kept none{};
      Last::template finish_tile<Last::Residual::none>(t.last, sums, m0, 0, group, 0, none);
    }
  }

  static __device__ __forceinline__ void run(const ChainTmaParams& t) {
    extern __shared__ uint8_t unaligned[];
    const Memory memory{t.shape, (shared_address(unaligned) + 1023) / 1024 * 1024};
    if (threadIdx.x == 0) {
      for (int s = 0; s < t.shape.stages + t.shape.buffers; ++s) {
        barrier_init(memory.full(s), 1);
        barrier_init(memory.empty(s), 4 * WG);
      }
      asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
      fence_async();
    }
    __syncthreads();
    const int tiles = (t.last.m + BM - 1) / BM, group = static_cast<int>(threadIdx.x) / 128 - 1;
    if (threadIdx.x < 128) {
      asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(k_producer_registers));
      if (threadIdx.x == 0) produce(t, memory, tiles);
    } else {
      asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(k_consumer_registers));
      if constexpr (IsJoined) {
        consume<Residual::registers>(t, memory, tiles, group);
      } else if (t.first.conv.epilogue.has_residual) {
        consume<Residual::shared>(t, memory, tiles, group);
      } else {
        consume<Residual::none>(t, memory, tiles, group);
      }
    }
  }
};

}  // namespace octet::cuda
