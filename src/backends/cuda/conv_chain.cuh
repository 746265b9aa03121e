#pragma once
// Two integer convolutions of 1x1 in one kernel on Hopper's warpgroup instructions, the second of the first one's
// output, as where one bottleneck ends and the next one begins. That output is stored, for others, and not read again.
//
// A CTA takes BM pixels and all their channels, of which the first convolution makes 64 at a time. A thread holds them
// as codes of 16 channels of two pixels, and the second product's first operand may lie in registers: a fragment wants
// four bytes of K here and four there of the same two pixels. Which channels those are is a matter of how the weights
// are packed (turn_columns). So the codes stay where they are, and the second sums wait in registers for all channels.
// A stage of the ring is what 64 channels need: their weights, the second's weights for them and their residual.
// Joined: the residual is the output of another 1x1 convolution, which is computed first, as in conv_tma.cuh.

#include "backends/cuda/conv_chain_producer.cuh"
#include "backends/cuda/conv_tma_finish.cuh"
#include "backends/cuda/hopper_registers.cuh"

namespace octet::cuda {

template <int WG, int N, int BK, bool IsJoined>
struct ChainKernel : ChainProducer<WG, N, BK, IsJoined> {
  using Producer = ChainProducer<WG, N, BK, IsJoined>;
  using Producer::BM, Producer::k_columns, Producer::k_box, Producer::k_w;
  using typename Producer::Memory;
  static constexpr int k_threads = 128 * (WG + 1);
  static constexpr int k_consumer_registers = WG == 3 ? 160 : 232, k_producer_registers = WG == 3 ? 32 : 40;

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

  /// Codes of 64 channels, stored and kept for the next product.
  template <Residual R>
  static __device__ __forceinline__ void store_codes(const ConvParams& p, const int32_t (&acc)[32],
                                                     const typename First::Channels16& at, FourChannels ahead, int m,
                                                     const uint32_t (&kept)[2][4], uint32_t (&codes)[2][4]) {
    First::template codes_of<R>(p, acc, at, ahead, kept, codes);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = m + half * 8;
      if (row < p.m)
        store_words<4>(static_cast<uint8_t*>(p.y) + static_cast<size_t>(row) * p.y_pitch + at.oc, codes[half]);
    }
  }

  template <Residual R>
  static __device__ __forceinline__ void consume(const ChainTmaParams& t, const Memory& memory, int tiles, int group) {
    const ConvParams& p = t.first.conv;
    const int chunks = p.oc / k_columns, column = First::column();
    const int row = group * 64 + static_cast<int>(threadIdx.x) / 32 % 4 * 16 + static_cast<int>(threadIdx.x) % 32 / 4;
    ChainTurn ring{t.shape.stages}, buffer{t.shape.buffers};
    for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x, buffer.next()) {
      const int m0 = tile * BM;
      int32_t sums[N / 2];
      int before = 0;
      FourChannels ahead;
      barrier_wait(memory.pixels_full(buffer.at), buffer.parity);
      for (int g = 0; g < chunks; ++g) {
        const int s = ring.at, oc = g * k_columns + column;
        uint32_t pixels = memory.pixels(buffer.at), codes[2][4], kept[2][4] = {};
        int32_t acc[32];
        ahead.load(IsJoined ? t.before.conv : p, oc);
        barrier_wait(memory.full(s), ring.parity);
        if constexpr (IsJoined) {
          multiply(acc, pixels, memory.stage(s), t.shape.tiles_before, group);
          wgmma_wait<0>();
          First::template codes_of<Residual::none>(t.before.conv, acc, {0, oc, 0}, ahead, kept, kept);
          pixels += t.shape.tiles_before * k_box;
          ahead.load(p, oc);
        }
        multiply(acc, pixels, memory.w_first(s), t.shape.tiles_first, group);
        wgmma_wait<0>();
        // The products of the stage before this one are through too.
        if (g > 0) release(memory.empty(before));
        if (g + 1 == chunks) release(memory.pixels_empty(buffer.at));
        store_codes<R>(p, acc, {0, oc, memory.residual(s) + row * k_columns + column}, ahead, m0 + row, kept, codes);
        multiply_codes(sums, codes, memory.w_last(s), g > 0);
        before = s;
        ring.next();
      }
      wgmma_wait<0>();
      ahead.load(t.last, column);
      release(memory.empty(before));
      const typename Last::Kept none{};
      Last::template finish_tile<Last::Residual::none>(t.last, sums, {m0, 0, group, 0}, ahead, none);
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
      if (threadIdx.x == 0) Producer::produce(t, memory, tiles);
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
