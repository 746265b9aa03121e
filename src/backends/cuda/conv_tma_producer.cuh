#pragma once
// The ring of stages of a warpgroup kernel and the thread that fills it, see conv_tma.cuh.

#include "backends/cuda/conv_epilogue.cuh"
#include "backends/cuda/conv_tma.h"
#include "backends/cuda/hopper.cuh"

namespace octet::cuda {

__device__ __forceinline__ void load_box(uint32_t to, const CUtensorMap* map, int c, int row, uint32_t bar) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" ::"r"(
          to),
      "l"(map), "r"(bar), "r"(c), "r"(row)
      : "memory");
}
__device__ __forceinline__ void load_pixels(uint32_t to, const CUtensorMap* map, int c, int w, int h, int n, int dw,
                                            int dh, uint32_t bar) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5, "
      "%6}], [%2], {%7, %8};" ::"r"(to),
      "l"(map), "r"(bar), "r"(c), "r"(w), "r"(h), "r"(n), "h"(static_cast<uint16_t>(dw)), "h"(static_cast<uint16_t>(dh))
      : "memory");
}

/// The shape of a kernel: WG warpgroups of 64 pixels by BN channels, Stages stages of BK bytes of K.
template <ConvType Type, int WarpGroups, int Bn, int Bk, int StageCount, bool IsJoined>
struct TmaShape {
  static constexpr ConvType T = Type;
  static constexpr int WG = WarpGroups, BN = Bn, BK = Bk, Stages = StageCount;
  static constexpr bool Joined = IsJoined;
  static constexpr bool k_codes = T == ConvType::u8s8;
  static constexpr int BM = 64 * WG, k_threads = 128 * (WG + 1), k_element = k_codes ? 1 : 2;
  static constexpr int k_a = BM * BK, k_b = BN * BK, k_residual = BM * BN * k_element;
  static constexpr int k_stage = k_a + k_b > k_residual ? k_a + k_b : k_residual;
  static constexpr size_t k_shared = 1024 + static_cast<size_t>(k_stage) * Stages + 16 * Stages;
  static constexpr int k_consumer_registers = WG == 3 ? 160 : 232, k_producer_registers = WG == 3 ? 32 : 40;
  static_assert(k_stage % 1024 == 0 && k_a % 1024 == 0 && k_shared <= 232448 && BN * k_element <= 256);
  using Acc = typename Accumulator<T>::type;

  /// A place in the ring that goes round: stage and the parity of its barriers.
  struct Turn {
    int stage = 0;
    uint32_t parity = 0;
    __device__ void next() {
      if (++stage == Stages) stage = 0, parity ^= 1;
    }
  };
  struct Ring {
    uint32_t base;
    __device__ uint32_t stage(int s) const { return base + s * k_stage; }
    __device__ uint32_t full(int s) const { return base + Stages * k_stage + 8 * s; }
    __device__ uint32_t empty(int s) const { return base + Stages * k_stage + 8 * (Stages + s); }
  };
};

template <class Shape>
struct TmaProducer {
  using Ring = typename Shape::Ring;
  using Turn = typename Shape::Turn;
  static constexpr int BM = Shape::BM, BN = Shape::BN, BK = Shape::BK, Stages = Shape::Stages;
  static constexpr int k_a = Shape::k_a, k_b = Shape::k_b, k_residual = Shape::k_residual, k_element = Shape::k_element;
  static constexpr bool Joined = Shape::Joined;

  static __device__ __forceinline__ void load_weights(const ConvParams& p, const Ring& ring, int s, int kt, int n0) {
    barrier_expect(ring.full(s), k_a + k_b);
    const auto* w = static_cast<const char*>(p.w);
    const int k_tiles = p.k_bytes / BK;
#pragma unroll
    for (int g = 0; g < BN / 64; ++g) {
      const int group = min(n0 / 64 + g, p.w_rows / 64 - 1);
      bulk_copy(ring.stage(s) + k_a + g * 64 * BK, w + (static_cast<int64_t>(group) * k_tiles + kt) * (64 * BK),
                64 * BK, ring.full(s));
    }
  }

  /// One convolution's tiles of K; `early` of them have their weights on the way already.
  static __device__ __forceinline__ void produce_products(const TmaParams& t, const Ring& ring, int m0, int n0,
                                                          int early, Turn& turn, int& count) {
    const ConvParams& p = t.conv;
    const int k_tiles = (p.k_used + BK - 1) / BK;
    const int image = div(p.by_plane, m0), in_plane = m0 - image * p.by_plane.d;
    const int oh = div(p.by_ow, in_plane), ow = in_plane - oh * p.ow;
    const int h = oh * p.stride_h - p.pad_top, w = ow * p.stride_w - p.pad_left;
    int c = 0, dh = 0, dw = 0;
    for (int kt = 0; kt < k_tiles; ++kt, ++count, turn.next()) {
      const int s = turn.stage;
      if (count >= early) {
        barrier_wait(ring.empty(s), turn.parity ^ 1);
        load_weights(p, ring, s, kt, n0);
      }
      if (t.as_matrix) {
        load_box(ring.stage(s), &t.x, kt * BK, m0, ring.full(s));
        continue;
      }
      load_pixels(ring.stage(s), &t.x, c, w, h, image, dw, dh, ring.full(s));
      c += BK;
      if (c < p.x_pitch) continue;
      c = 0, dw += p.dilation_w;
      if (dw == p.kw * p.dilation_w) dw = 0, dh += p.dilation_h;
    }
  }

  /// One thread. before: the first of two joined convolutions, else t itself.
  static __device__ __forceinline__ void produce(const TmaParams& t, const TmaParams& before, const Ring& ring,
                                                 int tiles, int n_tiles) {
    const ConvParams& p = t.conv;
    if (p.trigger == Trigger::at_once) grid_trigger();
    const int early = min(Stages, (before.conv.k_used + BK - 1) / BK);
    for (int kt = 0; kt < early; ++kt)
      load_weights(before.conv, ring, kt, kt, static_cast<int>(blockIdx.x) % n_tiles * BN);
    grid_wait();
    if (p.trigger == Trigger::early) grid_trigger();
    Turn turn;
    int count = 0;
    for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
      const int m0 = tile / n_tiles * BM, n0 = tile % n_tiles * BN;
      if constexpr (Joined) produce_products(before, ring, m0, n0, early, turn, count);
      produce_products(t, ring, m0, n0, early, turn, count);
      if (Joined || !p.epilogue.has_residual) continue;
      barrier_wait(ring.empty(turn.stage), turn.parity ^ 1);
      barrier_expect(ring.full(turn.stage), k_residual);
      load_box(ring.stage(turn.stage), &t.residual, n0 * k_element, m0, ring.full(turn.stage));
      turn.next();
      ++count;
    }
    grid_trigger();
  }
};

}  // namespace octet::cuda
