#pragma once
// The convolution on Hopper's warpgroup instructions (compute capability 9.0a) with every operand brought by the copy
// engine: one persistent CTA a multiprocessor, one producer thread and WG consumer warpgroups of 64 pixels each.
//
// Pixels come through a tensor map, as a matrix (1x1, stride 1) or in im2col mode, where the engine walks the output
// pixels, applies the tap's offset and fills what lies outside with zeros; so the code of real zero has to be 0 where
// there is padding. Weights are packed as the swizzled image of the tile (pack.h). The residual of a tile is one more
// stage of the ring. Stages pass through mbarriers, and the producer runs ahead into the next tile while the consumers
// requantize. Row permutation and epilogue are those of conv_mma.cuh.
//
// Joined: two convolutions whose outputs have the same place are one; the products of the first become codes in the
// consumers' registers, which are the second's residual.
//
// 192 rows a tile (WG = 3) divide the pixels of common networks into whole waves of 132 multiprocessors more often than
// 128 do, and need fewer bytes a product.

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

template <ConvType T, int WG, int BN, int BK, int Stages, bool Joined = false>
struct TmaKernel {
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
    const int early = min(Stages, (before.conv.k_used + BK - 1) / BK);
    for (int kt = 0; kt < early; ++kt)
      load_weights(before.conv, ring, kt, kt, static_cast<int>(blockIdx.x) % n_tiles * BN);
    grid_wait();
    if (p.early_trigger) grid_trigger();
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
    Turn turn;
    for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
      Acc acc[BN / 2];
      const int m0 = tile / n_tiles * BM, n0 = tile % n_tiles * BN;
      Kept kept;
      if constexpr (Joined) {
        sum_products(first.conv, ring, group, turn, acc);
        keep_codes(first.conv, acc, n0, kept);
      }
      sum_products(p, ring, group, turn, acc);
      if constexpr (Joined) {
        finish_tile<Residual::registers>(p, acc, m0, n0, group, 0, kept);
      } else if (p.epilogue.has_residual) {
        barrier_wait(ring.full(turn.stage), turn.parity);
        finish_tile<Residual::shared>(p, acc, m0, n0, group, ring.stage(turn.stage), kept);
        release(ring, turn.stage);
        turn.next();
      } else {
        finish_tile<Residual::none>(p, acc, m0, n0, group, 0, kept);
      }
    }
  }

  enum class Residual { none, shared, registers };
  /// The codes of a thread's outputs: 16 channels of two pixels in every 64 columns.
  struct Kept {
    uint32_t codes[Joined ? BN / 64 : 1][2][4];
  };

  /// The first convolution's sums as codes.
  static __device__ __forceinline__ void keep_codes(const ConvParams& p, const Acc (&acc)[BN / 2], int n0, Kept& kept) {
#pragma unroll
    for (int g = 0; g < BN / 64; ++g) {
      const int oc = n0 + g * 64 + static_cast<int>(threadIdx.x) % 4 * 16;
      if (oc + 16 <= p.oc) codes_of<Residual::none>(p, acc, g, oc, 0, {}, kept.codes[g]);
    }
  }

  template <Residual R>
  static __device__ __forceinline__ void finish_tile(const ConvParams& p, const Acc (&acc)[BN / 2], int m0, int n0,
                                                     int group, uint32_t residual, const Kept& kept) {
    const int warp = threadIdx.x / 32 % 4, lane = threadIdx.x % 32;
    const int row = group * 64 + warp * 16 + lane / 4, column = lane % 4 * 16;
#pragma unroll
    for (int g = 0; g < BN / 64; ++g) {
      const int oc = n0 + g * 64 + column;
      if (oc + 16 > p.oc) continue;
      const uint32_t from = residual + (row * BN + g * 64 + column) * k_element;
      if constexpr (k_codes) {
        uint32_t codes[2][4];
        codes_of<R>(p, acc, g, oc, from, kept.codes[R == Residual::registers ? g : 0], codes);
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int m = m0 + row + half * 8;
          if (m < p.m)
            store_words<4>(static_cast<uint8_t*>(p.y) + static_cast<size_t>(m) * p.y_pitch + oc, codes[half]);
        }
      } else {
        finish_halves_of<R == Residual::shared>(p, acc, g, m0 + row, oc, from);
      }
    }
  }

  static __device__ __forceinline__ uint4 load_shared(uint32_t from) {
    uint4 v;
    asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "r"(from));
    return v;
  }

  /// 16 channels of two pixels, 8 rows apart; their residual is at `from` in shared memory, or in kept.
  template <Residual R>
  static __device__ __forceinline__ void codes_of(const ConvParams& p, const Acc (&acc)[BN / 2], int g, int oc,
                                                  uint32_t from, const uint32_t (&kept)[2][4],
                                                  uint32_t (&codes)[2][4]) {
    uint32_t r[2][4];
    if constexpr (R == Residual::shared) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const uint4 v = load_shared(from + half * 8 * BN);
        r[half][0] = v.x, r[half][1] = v.y, r[half][2] = v.z, r[half][3] = v.w;
      }
    }
    if constexpr (R == Residual::registers) {
#pragma unroll
      for (int i = 0; i < 8; ++i) r[i / 4][i % 4] = kept[i / 4][i % 4];
    }
    const float zero = 8388608.0f + static_cast<float>(p.epilogue.r_zero);
#pragma unroll
    for (int q = 0; q < 4; ++q) {
      int32_t bias[4];
      float multiplier[4];
      load_channels<T, 4>(p, oc + 4 * q, bias, multiplier);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float v[4];
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          const int32_t sum = acc[(g * 8 + 2 * q + j / 2) * 4 + half * 2 + j % 2] + bias[j];
          v[j] = p.small_sums ? __fsub_rn(__int_as_float(sum), 12582912.0f) : __int2float_rn(sum);
          if constexpr (R != Residual::none) {
            v[j] = __fmaf_rn(v[j], multiplier[j], __fmul_rn(byte_less(r[half][q], j, zero), p.epilogue.r_multiplier));
          } else {
            v[j] = __fmul_rn(v[j], multiplier[j]);
          }
        }
        uint32_t word[1];
        pack_codes<4>(p.epilogue, v, word);
        codes[half][q] = word[0];
      }
    }
  }

  template <bool HasResidual>
  static __device__ __forceinline__ void finish_halves_of(const ConvParams& p, const Acc (&acc)[BN / 2], int g, int m,
                                                          int oc, uint32_t from) {
    float bias[16], none[16];
    load_channels<T, 16>(p, oc, bias, none);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      uint32_t words[8];
#pragma unroll
      for (int part = 0; part < 2; ++part) {
        uint32_t r[4] = {};
        if constexpr (HasResidual) {
          const uint4 v = load_shared(from + half * 8 * BN * 2 + part * 16);
          r[0] = v.x, r[1] = v.y, r[2] = v.z, r[3] = v.w;
        }
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int c = part * 8 + 2 * i, at = (g * 8 + c / 2) * 4 + half * 2;
          float2 v = make_float2(acc[at] + bias[c], acc[at + 1] + bias[c + 1]);
          if constexpr (HasResidual) {
            const float2 f = __half22float2(*reinterpret_cast<const __half2*>(&r[i]));
            v.x += f.x, v.y += f.y;
          }
          if (p.epilogue.act != Act::none) {  // ReLU or Clip: the planner offers these kernels no other
            v.x = keep_max(v.x, p.epilogue.p0), v.y = keep_max(v.y, p.epilogue.p0);
            v.x = keep_min(v.x, p.epilogue.p1), v.y = keep_min(v.y, p.epilogue.p1);
          }
          const __half2 h = __floats2half2_rn(v.x, v.y);
          words[part * 4 + i] = *reinterpret_cast<const uint32_t*>(&h);
        }
      }
      if (m + half * 8 < p.m)
        store_words<8>(static_cast<__half*>(p.y) + static_cast<size_t>(m + half * 8) * p.y_pitch + oc, words);
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
      if (threadIdx.x == 0) produce(t, before, ring, tiles, n_tiles);
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
