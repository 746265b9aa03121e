// The integer convolution on Hopper's warpgroup instructions (compute capability 9.0a), for layers large enough to
// fill the chip: one persistent CTA a multiprocessor, a producer warpgroup and two consumer warpgroups.
//
// The producers copy pixels by cp.async (the taps, borders and zero points of conv_mma.cuh) and weights by one bulk
// copy a stage, which are packed as the swizzled image of the tile. Stages pass through mbarriers, so the producers run
// ahead into the next tile while the consumers requantize. Sums, row permutation and epilogue are those of
// conv_mma.cuh.
#include "backends/cuda/conv_mma.cuh"

namespace octet::cuda {
namespace {

__device__ __forceinline__ void barrier_init(uint32_t bar, int count) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(bar), "r"(count) : "memory");
}
__device__ __forceinline__ void barrier_arrive(uint32_t bar) {
  asm volatile("mbarrier.arrive.shared.b64 _, [%0];" ::"r"(bar) : "memory");
}
__device__ __forceinline__ void barrier_expect(uint32_t bar, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" ::"r"(bar), "r"(bytes) : "memory");
}
__device__ __forceinline__ void barrier_wait(uint32_t bar, uint32_t parity) {
  asm volatile(
      "{\n.reg .pred done;\nagain:\nmbarrier.try_wait.parity.shared.b64 done, [%0], %1;\n@done bra ready;\nbra again;\n"
      "ready:\n}\n" ::"r"(bar),
      "r"(parity)
      : "memory");
}
__device__ __forceinline__ void bulk_copy(uint32_t to, const void* from, uint32_t bytes, uint32_t bar) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(to),
               "l"(from), "r"(bytes), "r"(bar)
               : "memory");
}
__device__ __forceinline__ void prefetch_to_l2(const void* from, uint32_t bytes) {
  asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(from), "r"(bytes) : "memory");
}
/// Makes this thread's writes to shared memory visible to the tensor cores and the copy engine.
__device__ __forceinline__ void fence_async() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
__device__ __forceinline__ void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int Pending>
__device__ __forceinline__ void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Pending) : "memory");
}

__device__ __forceinline__ void wgmma(int32_t (&d)[32], uint64_t a, uint64_t b, int add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %34, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k32.s32.u8.s8 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
      "%32, %33, p;\n}\n"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3]), "+r"(d[4]), "+r"(d[5]), "+r"(d[6]), "+r"(d[7]), "+r"(d[8]),
        "+r"(d[9]), "+r"(d[10]), "+r"(d[11]), "+r"(d[12]), "+r"(d[13]), "+r"(d[14]), "+r"(d[15]), "+r"(d[16]),
        "+r"(d[17]), "+r"(d[18]), "+r"(d[19]), "+r"(d[20]), "+r"(d[21]), "+r"(d[22]), "+r"(d[23]), "+r"(d[24]),
        "+r"(d[25]), "+r"(d[26]), "+r"(d[27]), "+r"(d[28]), "+r"(d[29]), "+r"(d[30]), "+r"(d[31])
      : "l"(a), "l"(b), "r"(add));
}

__device__ __forceinline__ void wgmma(int32_t (&d)[64], uint64_t a, uint64_t b, int add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k32.s32.u8.s8 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
      "%64, %65, p;\n}\n"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3]), "+r"(d[4]), "+r"(d[5]), "+r"(d[6]), "+r"(d[7]), "+r"(d[8]),
        "+r"(d[9]), "+r"(d[10]), "+r"(d[11]), "+r"(d[12]), "+r"(d[13]), "+r"(d[14]), "+r"(d[15]), "+r"(d[16]),
        "+r"(d[17]), "+r"(d[18]), "+r"(d[19]), "+r"(d[20]), "+r"(d[21]), "+r"(d[22]), "+r"(d[23]), "+r"(d[24]),
        "+r"(d[25]), "+r"(d[26]), "+r"(d[27]), "+r"(d[28]), "+r"(d[29]), "+r"(d[30]), "+r"(d[31]), "+r"(d[32]),
        "+r"(d[33]), "+r"(d[34]), "+r"(d[35]), "+r"(d[36]), "+r"(d[37]), "+r"(d[38]), "+r"(d[39]), "+r"(d[40]),
        "+r"(d[41]), "+r"(d[42]), "+r"(d[43]), "+r"(d[44]), "+r"(d[45]), "+r"(d[46]), "+r"(d[47]), "+r"(d[48]),
        "+r"(d[49]), "+r"(d[50]), "+r"(d[51]), "+r"(d[52]), "+r"(d[53]), "+r"(d[54]), "+r"(d[55]), "+r"(d[56]),
        "+r"(d[57]), "+r"(d[58]), "+r"(d[59]), "+r"(d[60]), "+r"(d[61]), "+r"(d[62]), "+r"(d[63])
      : "l"(a), "l"(b), "r"(add));
}

/// Shared-memory descriptor of K-contiguous rows of 128 bytes in the 128-byte swizzle (PTX ISA, matrix descriptor):
/// eight rows are 1024 bytes apart.
__device__ __forceinline__ uint64_t descriptor(uint32_t at) {
  return static_cast<uint64_t>(at >> 4 & 0x3fff) | uint64_t{1} << 16 | uint64_t{64} << 32 | uint64_t{1} << 62;
}

template <int BN, int Stages>
struct Wgmma {
  static constexpr int BM = 128, BK = 128, k_chunks = 8, k_producers = 128, k_threads = 384;
  static constexpr int k_step = k_producers / k_chunks, k_rows = BM / k_step;
  static constexpr int k_instruction = BN < 128 ? BN : 128, k_parts = BN / k_instruction;
  static constexpr int k_a = BM * BK, k_b = BN * BK, k_stage = k_a + k_b;
  static constexpr int k_lag = Stages - 2;  // stages on their way while the next is asked for
  static constexpr size_t k_shared = 1024 + static_cast<size_t>(k_stage) * Stages + 16 * Stages;
  static constexpr int k_v = 16;

  struct Ring {
    uint32_t stages, full, empty;
    __device__ uint32_t a(int s) const { return stages + s * k_stage; }
    __device__ uint32_t b(int s) const { return stages + s * k_stage + k_a; }
  };

  static __device__ __forceinline__ void produce(const ConvParams& p, const Ring& ring, int tiles, int n_tiles) {
    const int tid = threadIdx.x, chunk = tid % k_chunks, row = tid / k_chunks;
    const int k_tiles = p.k_bytes / BK;
    const auto* x = static_cast<const char*>(p.x);
    const auto* w = static_cast<const char*>(p.w);
    const uint32_t to_row = swizzled<BK>(row, chunk);  // k_step rows are 2 swizzle periods
    int loaded = 0;
    for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
      const int m0 = tile / n_tiles * BM, n0 = tile % n_tiles * BN;
      int x_at[k_rows], corner[k_rows];
#pragma unroll
      for (int i = 0; i < k_rows; ++i) {
        const int m = min(m0 + row + i * k_step, p.m - 1);
        const int image = div(p.by_plane, m), in_plane = m - image * p.by_plane.d;
        const int oh = div(p.by_ow, in_plane), ow = in_plane - oh * p.ow;
        const int ih0 = oh * p.stride_h - p.pad_top, iw0 = ow * p.stride_w - p.pad_left;
        x_at[i] = ((image * p.ih + ih0) * p.iw + iw0) * (p.x_pitch / 4);
        corner[i] = ih0 << 16 | (iw0 & 0xffff);
      }
      if (p.epilogue.has_residual && m0 + tid < p.m)
        prefetch_to_l2(static_cast<const char*>(p.residual) + static_cast<int64_t>(m0 + tid) * p.r_pitch + n0,
                       min(BN, p.r_pitch - n0));
      for (int kt = 0; kt < k_tiles; ++kt, ++loaded) {
        const int s = loaded % Stages;
        barrier_wait(ring.empty + 8 * s, loaded / Stages % 2 ^ 1);
        if (tid == 0) {
          barrier_expect(ring.full + 8 * s, k_b);
          // 64 rows by 128 bytes are one block of the packed weights.
#pragma unroll
          for (int g = 0; g < BN / 64; ++g) {
            const int group = min(n0 / 64 + g, p.w_rows / 64 - 1);
            bulk_copy(ring.b(s) + g * 8192, w + (static_cast<int64_t>(group) * k_tiles + kt) * 8192, 8192,
                      ring.full + 8 * s);
          }
        }
        const int kc = kt * k_chunks + chunk;
        const int tap = div(p.by_chunks, kc), c = kc - tap * p.by_chunks.d;
        const int kh = div(p.by_kw, tap), kw = tap - kh * p.by_kw.d;
        const int dh = kh * p.dilation_h, dw = kw * p.dilation_w;
        const int delta = (dh * p.iw + dw) * (p.x_pitch / 4) + c * 4;
        const bool tap_inside = tap < p.taps;
#pragma unroll
        for (int i = 0; i < k_rows; ++i) {
          const uint32_t to = ring.a(s) + to_row + i * k_step * BK;
          const int ih = (corner[i] >> 16) + dh, iw = static_cast<int16_t>(corner[i]) + dw;
          const bool inside = tap_inside && (p.pointwise || (static_cast<unsigned>(ih) < static_cast<unsigned>(p.ih) &&
                                                             static_cast<unsigned>(iw) < static_cast<unsigned>(p.iw)));
          if (inside) {
            copy_16(to, x + static_cast<int64_t>(x_at[i] + delta) * 4);
          } else {
            fill_16(to, p.fill);
          }
        }
        commit_copies();
        if (loaded >= k_lag) {
          wait_copies<k_lag>();
          fence_async();
          barrier_arrive(ring.full + 8 * ((loaded - k_lag) % Stages));
        }
      }
    }
    wait_copies<0>();
    fence_async();
    grid_trigger();
    for (int i = max(loaded - k_lag, 0); i < loaded; ++i) barrier_arrive(ring.full + 8 * (i % Stages));
  }

  static __device__ __forceinline__ void consume(const ConvParams& p, const Ring& ring, int tiles, int n_tiles,
                                                 int group) {
    const int k_tiles = p.k_bytes / BK, tid = threadIdx.x % 128, warp = tid / 32, lane = tid % 32;
    int used = 0;
    for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
      const int m0 = tile / n_tiles * BM, n0 = tile % n_tiles * BN;
      int32_t acc[k_parts][k_instruction / 2];
      for (int kt = 0; kt < k_tiles; ++kt, ++used) {
        const int s = used % Stages;
        barrier_wait(ring.full + 8 * s, used / Stages % 2);
        const uint64_t a = descriptor(ring.a(s) + group * 64 * BK), b = descriptor(ring.b(s));
        wgmma_fence();
#pragma unroll
        for (int k = 0; k < BK / 32; ++k) {
#pragma unroll
          for (int part = 0; part < k_parts; ++part)
            wgmma(acc[part], a + 2 * k, b + 2 * k + part * (k_instruction * BK / 16), kt > 0 || k > 0);
        }
        wgmma_commit();
        // The stage before this one is free once its products are done: one group may still run.
        if (kt > 0) {
          wgmma_wait<1>();
          barrier_arrive(ring.empty + 8 * ((used - 1) % Stages));
        }
      }
      wgmma_wait<0>();
      barrier_arrive(ring.empty + 8 * ((used - 1) % Stages));
#pragma unroll
      for (int part = 0; part < k_parts; ++part) {
#pragma unroll
        for (int g = 0; g < k_instruction / 64; ++g) {
          const int oc = n0 + part * k_instruction + g * 64 + lane % 4 * k_v;
          int32_t bias[k_v], v[k_v];
          float multiplier[k_v];
          load_channels<ConvType::u8s8, k_v>(p, oc, bias, multiplier);
#pragma unroll
          for (int half = 0; half < 2; ++half) {
#pragma unroll
            for (int i = 0; i < k_v; ++i) v[i] = acc[part][(g * 8 + i / 2) * 4 + half * 2 + i % 2];
            finish<ConvType::u8s8, k_v>(p, m0 + group * 64 + warp * 16 + lane / 4 + half * 8, oc, v, bias, multiplier);
          }
        }
      }
    }
  }
};

template <int BN, int Stages>
__global__ void __launch_bounds__(384, 1) wgmma_kernel(const __grid_constant__ ConvParams p) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL  // elsewhere the instructions do not exist, and nobody calls this
  using W = Wgmma<BN, Stages>;
  extern __shared__ uint8_t unaligned[];
  const uint32_t base = (shared_address(unaligned) + 1023) / 1024 * 1024;
  const typename W::Ring ring{base, base + W::k_stage * Stages, base + W::k_stage * Stages + 8 * Stages};
  if (threadIdx.x == 0) {
    for (int s = 0; s < Stages; ++s) {
      barrier_init(ring.full + 8 * s, W::k_producers + 1);
      barrier_init(ring.empty + 8 * s, 256);
    }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    fence_async();
  }
  __syncthreads();
  const int n_tiles = (p.oc + BN - 1) / BN, tiles = (p.m + W::BM - 1) / W::BM * n_tiles;
  grid_wait();
  if (threadIdx.x < 128) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 64;");
    W::produce(p, ring, tiles, n_tiles);
  } else {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 216;");
    W::consume(p, ring, tiles, n_tiles, threadIdx.x / 128 - 1);
  }
#endif
}

template <int BN, int Stages>
ConvEntry wgmma_entry(const char* name) {
  using W = Wgmma<BN, Stages>;
  return {{name, W::BM, BN, W::k_threads, 1, W::BK, Stages, false},
          wgmma_kernel<BN, Stages>,
          W::k_threads,
          W::k_shared,
          W::k_stage};
}

const ConvEntry* entries() {
  static const ConvEntry k_entries[] = {
      wgmma_entry<64, 6>("wgmma 128x64"),
      wgmma_entry<128, 6>("wgmma 128x128"),
      wgmma_entry<256, 4>("wgmma 128x256"),
  };
  return k_entries;
}

}  // namespace

int wgmma_tile_count() { return 3; }
const ConvTile& wgmma_tile(int index) { return entries()[index].tile; }

cudaError_t wgmma_setup() {
  for (int i = 0; i < wgmma_tile_count(); ++i) {
    const cudaError_t set = cudaFuncSetAttribute(entries()[i].kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                 static_cast<int>(entries()[i].shared_bytes));
    if (set != cudaSuccess) return set;
    const cudaError_t split = cudaFuncSetAttribute(entries()[i].kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                                                   cudaSharedmemCarveoutMaxShared);
    if (split != cudaSuccess) return split;
  }
  return cudaSuccess;
}

cudaError_t launch_wgmma(int index, const ConvParams& p, int sms, cudaStream_t stream) {
  const ConvEntry& e = entries()[index];
  const int64_t tiles = int64_t{(p.m + e.tile.bm - 1) / e.tile.bm} * ((p.oc + e.tile.bn - 1) / e.tile.bn);
  return launch(e.kernel, dim3(static_cast<unsigned>(tiles < sms ? tiles : sms)), dim3(384), e.shared_bytes, stream, p);
}

}  // namespace octet::cuda
