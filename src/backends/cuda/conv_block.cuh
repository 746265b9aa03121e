#pragma once
// A bottleneck in one kernel on Hopper's warpgroup instructions: a convolution with a window, the 1x1 convolution that
// alone reads it and may have a residual, and the 1x1 convolution of the next bottleneck that reads that one's output.
//
// What goes from bottleneck to bottleneck are then the outputs of the middle one, which the residual needs, and the few
// channels of the last; the window's outputs are nowhere in memory. Cut there, a CTA's pixels need no halo: the window
// reads the last kernel's output. As in conv_chain.cuh codes stay in the registers of the thread that made them and are
// the next product's first operand (turn_columns), here twice. The ring has stages of one size: BK bytes of K of the
// window's product, or what 64 channels of the middle need, their weights, the last one's weights for them, their
// residual. Warpgroups drift apart by some stages, so one multiplies while another requantizes.

#include "backends/cuda/conv_block_producer.cuh"
#include "backends/cuda/conv_chain.cuh"

namespace octet::cuda {

template <int WG, int C, int N>
struct BlockKernel : BlockProducer<WG, C, N> {
  using Producer = BlockProducer<WG, C, N>;
  using Producer::BM, Producer::BK, Producer::k_a, Producer::k_columns, Producer::k_middle, Producer::k_last;
  using Producer::k_stages;
  using typename Producer::Memory;
  using Chain = ChainKernel<WG, N, BK, false>;  // for its products and its stores
  using Window = TmaFinish<typename Chain::template Part<C, false>>;
  using First = typename Chain::First;
  using Last = typename Chain::Last;
  using Residual = typename First::Residual;
  static constexpr int k_threads = Chain::k_threads;

  /// The window's outputs as the codes of 64 pixels: of 16 channels of two pixels in every 64 columns.
  static __device__ __forceinline__ void window(const ConvParams& p, const Memory& memory, int group, ChainTurn& ring,
                                                uint32_t (&codes)[C / 64][2][4]) {
    int32_t acc[C / 2];
    const int k_tiles = p.k_used / BK;
    int before = 0;
    for (int kt = 0; kt < k_tiles; ++kt) {
      const int s = ring.at;
      barrier_wait(memory.full(s), ring.parity);
      const uint64_t a = descriptor<BK>(memory.stage(s) + group * 64 * BK), b = descriptor<BK>(memory.stage(s) + k_a);
      wgmma_fence();
#pragma unroll
      for (int k = 0; k < BK / 32; ++k) wgmma_s8(acc, a + 2 * k, b + 2 * k, kt > 0 || k > 0);
      wgmma_commit();
      if (kt > 0) {
        wgmma_wait<1>();
        Chain::release(memory.empty(before));
      }
      before = s;
      ring.next();
    }
    FourChannels ahead;
    ahead.load(p, Window::column());
    wgmma_wait<0>();
    Chain::release(memory.empty(before));
    const uint32_t none[2][4] = {};
#pragma unroll
    for (int g = 0; g < C / 64; ++g)
      Window::template codes_of<Window::Residual::none>(p, acc, {g, g * 64 + Window::column(), 0}, ahead, none,
                                                        codes[g]);
  }

  static __device__ __forceinline__ void multiply_middle(int32_t (&acc)[32], const uint32_t (&x)[C / 64][2][4],
                                                         uint32_t w) {
    wgmma_fence();
#pragma unroll
    for (int j = 0; j < C / 64; ++j) {
      const uint64_t b = descriptor<k_columns>(w + j * 64 * k_columns);
      const uint32_t low[4] = {x[j][0][0], x[j][1][0], x[j][0][1], x[j][1][1]},
                     high[4] = {x[j][0][2], x[j][1][2], x[j][0][3], x[j][1][3]};
      wgmma_s8(acc, low, b, j > 0);
      wgmma_s8(acc, high, b + 2, 1);
    }
    wgmma_commit();
  }

  template <Residual R>
  static __device__ __forceinline__ void consume(const ChainTmaParams& t, const Memory& memory, int tiles, int group) {
    const ConvParams& p = t.first.conv;
    const int chunks = p.oc / k_columns, column = First::column();
    const int row = group * 64 + static_cast<int>(threadIdx.x) / 32 % 4 * 16 + static_cast<int>(threadIdx.x) % 32 / 4;
    ChainTurn ring{k_stages};
    for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
      const int m0 = tile * BM;
      uint32_t x[C / 64][2][4];
      window(t.before.conv, memory, group, ring, x);
      int32_t sums[N / 2];
      int before = 0;
      FourChannels ahead;
      for (int g = 0; g < chunks; ++g) {
        const int s = ring.at, oc = g * k_columns + column;
        const uint32_t at = memory.stage(s), residual = at + k_middle + k_last;
        uint32_t codes[2][4];
        const uint32_t none[2][4] = {};
        int32_t acc[32];
        ahead.load(p, oc);
        barrier_wait(memory.full(s), ring.parity);
        multiply_middle(acc, x, at);
        wgmma_wait<0>();
        // The products of the stage before this one are through too.
        if (g > 0) Chain::release(memory.empty(before));
        Chain::template store_codes<R>(p, acc, {0, oc, residual + row * k_columns + column}, ahead, m0 + row, none,
                                       codes);
        Chain::multiply_codes(sums, codes, at + k_middle, g > 0);
        before = s;
        ring.next();
      }
      wgmma_wait<0>();
      ahead.load(t.last, column);
      Chain::release(memory.empty(before));
      const typename Last::Kept none{};
      Last::template finish_tile<Last::Residual::none>(t.last, sums, {m0, 0, group, 0}, ahead, none);
    }
  }

  static __device__ __forceinline__ void run(const ChainTmaParams& t) {
    extern __shared__ uint8_t unaligned[];
    const Memory memory{(shared_address(unaligned) + 1023) / 1024 * 1024};
    if (threadIdx.x == 0) {
      for (int s = 0; s < k_stages; ++s) {
        barrier_init(memory.full(s), 1);
        barrier_init(memory.empty(s), 4 * WG);
      }
      asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
      fence_async();
    }
    __syncthreads();
    const int tiles = (t.last.m + BM - 1) / BM, group = static_cast<int>(threadIdx.x) / 128 - 1;
    if (threadIdx.x < 128) {
      asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Chain::k_producer_registers));
      if (threadIdx.x == 0) Producer::produce(t, memory, tiles);
    } else {
      asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Chain::k_consumer_registers));
      if (t.first.conv.epilogue.has_residual) {
        consume<Residual::shared>(t, memory, tiles, group);
      } else {
        consume<Residual::none>(t, memory, tiles, group);
      }
    }
  }
};

}  // namespace octet::cuda
