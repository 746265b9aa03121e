#pragma once
// The instructions of compute capability 9.0a that the warpgroup kernels are made of.

#include <cuda_runtime.h>
#include <stdint.h>

namespace octet::cuda {

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

/// Shared-memory descriptor of K-contiguous rows of RowBytes in the swizzle of that width (PTX ISA, matrix
/// descriptor): eight rows are 8 * RowBytes apart.
template <int RowBytes>
__device__ __forceinline__ uint64_t descriptor(uint32_t at) {
  static_assert(RowBytes == 128 || RowBytes == 64);
  constexpr uint64_t k_swizzle = RowBytes == 128 ? 1 : 2;
  return static_cast<uint64_t>(at >> 4 & 0x3fff) | uint64_t{1} << 16 | uint64_t{RowBytes / 2} << 32 | k_swizzle << 62;
}

// d (+)= a * b, 64 rows by twice as many columns as d has elements, 32 bytes of K; add = 0 starts from zero.
// clang-format off
#define OCTET_8(c, d, i) "+" #c(d[i]), "+" #c(d[i + 1]), "+" #c(d[i + 2]), "+" #c(d[i + 3]), "+" #c(d[i + 4]), "+" #c(d[i + 5]), "+" #c(d[i + 6]), "+" #c(d[i + 7])
__device__ __forceinline__ void wgmma_s8(int32_t (&d)[32], uint64_t a, uint64_t b, int add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %34, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k32.s32.u8.s8 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
      "%32, %33, p;\n}\n"
      : OCTET_8(r, d, 0), OCTET_8(r, d, 8), OCTET_8(r, d, 16), OCTET_8(r, d, 24)
      : "l"(a), "l"(b), "r"(add));
}
__device__ __forceinline__ void wgmma_s8(int32_t (&d)[64], uint64_t a, uint64_t b, int add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k32.s32.u8.s8 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
      "%64, %65, p;\n}\n"
      : OCTET_8(r, d, 0), OCTET_8(r, d, 8), OCTET_8(r, d, 16), OCTET_8(r, d, 24),
        OCTET_8(r, d, 32), OCTET_8(r, d, 40), OCTET_8(r, d, 48), OCTET_8(r, d, 56)
      : "l"(a), "l"(b), "r"(add));
}
__device__ __forceinline__ void wgmma_s8(int32_t (&d)[128], uint64_t a, uint64_t b, int add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %130, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n256k32.s32.u8.s8 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "
      "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "
      "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, "
      "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, "
      "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127}, "
      "%128, %129, p;\n}\n"
      : OCTET_8(r, d, 0), OCTET_8(r, d, 8), OCTET_8(r, d, 16), OCTET_8(r, d, 24),
        OCTET_8(r, d, 32), OCTET_8(r, d, 40), OCTET_8(r, d, 48), OCTET_8(r, d, 56),
        OCTET_8(r, d, 64), OCTET_8(r, d, 72), OCTET_8(r, d, 80), OCTET_8(r, d, 88),
        OCTET_8(r, d, 96), OCTET_8(r, d, 104), OCTET_8(r, d, 112), OCTET_8(r, d, 120)
      : "l"(a), "l"(b), "r"(add));
}
__device__ __forceinline__ void wgmma_f16(float (&d)[32], uint64_t a, uint64_t b, int add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %34, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
      "%32, %33, p, 1, 1, 0, 0;\n}\n"
      : OCTET_8(f, d, 0), OCTET_8(f, d, 8), OCTET_8(f, d, 16), OCTET_8(f, d, 24)
      : "l"(a), "l"(b), "r"(add));
}
__device__ __forceinline__ void wgmma_f16(float (&d)[64], uint64_t a, uint64_t b, int add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
      "%64, %65, p, 1, 1, 0, 0;\n}\n"
      : OCTET_8(f, d, 0), OCTET_8(f, d, 8), OCTET_8(f, d, 16), OCTET_8(f, d, 24),
        OCTET_8(f, d, 32), OCTET_8(f, d, 40), OCTET_8(f, d, 48), OCTET_8(f, d, 56)
      : "l"(a), "l"(b), "r"(add));
}
#undef OCTET_8
// clang-format on

}  // namespace octet::cuda
