// Twelve chains on ymm registers. The exact AVX2 form of a dot product is vpmaddwd and vpaddd on 16-bit operands.

#include <immintrin.h>

#include "kernels/peak/peak_isa.h"

namespace octet {
namespace {

constexpr int k_chains = 12;

void dots(int64_t repeats) {
  for (int64_t i = 0; i < repeats; ++i)
    __asm__ volatile(
        ".irp r,0,1,2,3,4,5,6,7,8,9,10,11\n vpmaddwd %%ymm14, %%ymm15, %%ymm13\n"
        " vpaddd %%ymm13, %%ymm\\r, %%ymm\\r\n .endr" ::
            : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
              "xmm13");
}

}  // namespace

void peak_fmas_ymm(int64_t repeats) {
  // From zeros: what lies in the registers may be denormal, which takes some CPUs a hundred times as long.
  __asm__ volatile(
      ".irp r,0,1,2,3,4,5,6,7,8,9,10,11,14,15\n vpxor %%ymm\\r, %%ymm\\r, %%ymm\\r\n .endr\n"
      "1:\n .irp r,0,1,2,3,4,5,6,7,8,9,10,11\n vfmadd231ps %%ymm14, %%ymm15, %%ymm\\r\n .endr\n dec %0\n jnz 1b"
      : "+r"(repeats)
      :
      : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm14",
        "xmm15");
}

uint64_t peak_read_ymm(const void* data, size_t bytes) {
  // In assembly, so that the sums stay in registers: as an array gcc -O2 keeps them on the stack, and the loop waits
  // for its own stores at a third of L2's rate.
  const auto* at = static_cast<const __m256i*>(data);
  __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
  for (size_t i = 0; i < bytes / 32; i += 8)
    __asm__ volatile(
        "vpor (%4), %0, %0\n"
        "vpor 32(%4), %1, %1\n"
        "vpor 64(%4), %2, %2\n"
        "vpor 96(%4), %3, %3\n"
        "vpor 128(%4), %0, %0\n"
        "vpor 160(%4), %1, %1\n"
        "vpor 192(%4), %2, %2\n"
        "vpor 224(%4), %3, %3\n"
        : "+x"(a), "+x"(b), "+x"(c), "+x"(d)
        : "r"(at + i)
        : "memory");
  const __m256i any = _mm256_or_si256(_mm256_or_si256(a, b), _mm256_or_si256(c, d));
  const __m128i half = _mm_or_si128(_mm256_castsi256_si128(any), _mm256_extracti128_si256(any, 1));
  return static_cast<uint64_t>(_mm_extract_epi64(half, 0) | _mm_extract_epi64(half, 1));
}

const PeakKernels peak_avx2 = {dots,         k_chains * 16.0, "vpmaddwd + vpaddd ymm", peak_fmas_ymm, k_chains * 8.0,
                               "vfmadd ymm", peak_read_ymm};

}  // namespace octet
