#pragma once
// The convolution on Hopper's warpgroup instructions (compute capability 9.0a) with every operand brought by the copy
// engine: one persistent CTA a multiprocessor, one producer thread and WG consumer warpgroups of 64 pixels each.
//
// Pixels come through a tensor map, as a matrix (1x1, stride 1) or in im2col mode, where the engine walks the output
// pixels, applies the tap's offset and fills what lies outside with zeros; so the code of real zero has to be 0 where
// there is padding. Weights are packed as the swizzled image of the tile (pack.h). The residual of a tile is one more
// stage of the ring. Stages pass through mbarriers, and the producer runs ahead into the next tile while the consumers
// requantize. Row permutation and epilogue are those of conv_mma.cuh.
// Joined: two convolutions whose outputs have the same place are one; the products of the first become codes in the
// consumers' registers, which are the second's residual.
//
// 192 rows a tile (WG = 3) fill whole waves of 132 multiprocessors more often than 128 do, and need fewer bytes.

#include "backends/cuda/conv_tma_finish.cuh"

namespace octet::cuda {

template <ConvType T, int WG, int BN, int BK, int Stages, bool Joined = false>
struct TmaKernel : TmaShape<T, WG, BN, BK, Stages, Joined> {
  using Shape = TmaShape<T, WG, BN, BK, Stages, Joined>;
  using Finish = TmaFinish<Shape>;
  using Shape::BM, Shape::k_a, Shape::k_codes, Shape::k_consumer_registers, Shape::k_producer_registers;
  using typename Shape::Acc;
  using typename Shape::Ring;
  using typename Shape::Turn;

  static __device__ __forceinline__ void release(const Ring& ring, int stage) {
    __syncwarp();
    if (threadIdx.x % 32 == 0) barrier_arrive(ring.empty(stage));
  }

  static __device__ __forceinline__ void sum_products(const ConvParams& p, const Ring& ring, int group, Turn& turn,
                                                      Acc (&acc)[BN / 2]) {
    const int k_tiles = (p.k_used + BK - 1) / BK;
    int before = 0;
    for (int kt = 0; kt < k_tiles; ++kt) {
      const int s = turn.stage;
      barrier_wait(ring.full(s), turn.parity);
      const uint64_t a = descriptor<BK>(ring.stage(s) + group * 64 * BK), b = descriptor<BK>(ring.stage(s) + k_a);
      wgmma_fence();
#pragma unroll
      for (int k = 0; k < BK / 32; ++k) {
        if constexpr (k_codes) {
          wgmma_s8(acc, a + 2 * k, b + 2 * k, kt > 0 || k > 0);
        } else {
          wgmma_f16(acc, a + 2 * k, b + 2 * k, kt > 0 || k > 0);
        }
      }
      wgmma_commit();
      // The stage before this one is free once its products are done: one group may still run.
      if (kt > 0) {
        wgmma_wait<1>();
        release(ring, before);
      }
      before = s;
      turn.next();
    }
    wgmma_wait<0>();
    release(ring, before);
  }

  static __device__ __forceinline__ void consume(const TmaParams& t, const TmaParams& first, const Ring& ring,
                                                 int tiles, int n_tiles, int group) {
    const ConvParams& p = t.conv;
    for (int c = static_cast<int>(threadIdx.x) % 128; c < BN; c += 128) {
      const int oc = static_cast<int>(blockIdx.x) % n_tiles * BN + c;
      touch_channels<T>(p, oc);
      if constexpr (Joined) touch_channels<T>(first.conv, oc);
    }
    Turn turn;
    for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
      Acc acc[BN / 2];
      const int m0 = tile / n_tiles * BM, n0 = tile % n_tiles * BN;
      typename Finish::Kept kept;
      FourChannels ahead;
      if constexpr (Joined) {
        ahead.load(first.conv, n0 + Finish::column());
        sum_products(first.conv, ring, group, turn, acc);
        Finish::keep_codes(first.conv, acc, n0, ahead, kept);
      }
      if constexpr (k_codes) {
        ahead.load(p, n0 + Finish::column());
      } else {
        ahead = {};  // not used there
      }
      sum_products(p, ring, group, turn, acc);
      if constexpr (Joined) {
        Finish::template finish_tile<Finish::Residual::registers>(p, acc, {m0, n0, group, 0}, ahead, kept);
      } else if (p.epilogue.has_residual) {
        barrier_wait(ring.full(turn.stage), turn.parity);
        Finish::template finish_tile<Finish::Residual::shared>(p, acc, {m0, n0, group, ring.stage(turn.stage)}, ahead,
                                                               kept);
        release(ring, turn.stage);
        turn.next();
      } else {
        Finish::template finish_tile<Finish::Residual::none>(p, acc, {m0, n0, group, 0}, ahead, kept);
      }
    }
  }

  static __device__ __forceinline__ void run(const TmaParams& t, const TmaParams& before) {
    extern __shared__ uint8_t unaligned[];
    const Ring ring{(shared_address(unaligned) + 1023) / 1024 * 1024};
    if (threadIdx.x == 0) {
      for (int s = 0; s < Stages; ++s) {
        barrier_init(ring.full(s), 1);
        barrier_init(ring.empty(s), 4 * WG);
      }
      asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
      fence_async();
    }
    __syncthreads();
    const int n_tiles = (t.conv.oc + BN - 1) / BN, tiles = (t.conv.m + BM - 1) / BM * n_tiles;
    if (threadIdx.x < 128) {
      asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(k_producer_registers));
      if (threadIdx.x == 0) TmaProducer<Shape>::produce(t, before, ring, tiles, n_tiles);
    } else {
      asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(k_consumer_registers));
      consume(t, before, ring, tiles, n_tiles, threadIdx.x / 128 - 1);
    }
  }
};

template <class K>
__global__ void __launch_bounds__(K::k_threads, 1) tma_kernel(const __grid_constant__ TmaParams t) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL  // elsewhere the instructions do not exist, and nobody calls this
  K::run(t, t);
#endif
}
template <class K>
__global__ void __launch_bounds__(K::k_threads, 1) joined_tma_kernel(const __grid_constant__ JoinedTmaParams t) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  K::run(t.second, t.first);
#endif
}

template <ConvType T, int WG, int BN, int BK, int Stages>
TmaEntry tma_entry(const char* name) {
  using K = TmaKernel<T, WG, BN, BK, Stages>;
  return {{name, K::BM, BN, K::k_threads, 1, BK, Stages, false}, tma_kernel<K>, K::k_shared};
}

template <int WG, int BN, int BK, int Stages>
JoinedTmaEntry joined_tma_entry(const char* name) {
  using K = TmaKernel<ConvType::u8s8, WG, BN, BK, Stages, true>;
  return {{name, K::BM, BN, K::k_threads, 1, BK, Stages, false}, joined_tma_kernel<K>, K::k_shared};
}

}  // namespace octet::cuda
