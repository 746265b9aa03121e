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
  const auto* at = static_cast<const __m256i*>(data);
  __m256i all[4] = {};
  for (size_t i = 0; i < bytes / 32; i += 4)
    for (size_t k = 0; k < 4; ++k) all[k] = _mm256_or_si256(all[k], _mm256_load_si256(at + i + k));
  const __m256i any = _mm256_or_si256(_mm256_or_si256(all[0], all[1]), _mm256_or_si256(all[2], all[3]));
  return static_cast<uint64_t>(_mm256_extract_epi64(any, 0));
}

const PeakKernels peak_avx2 = {dots,         k_chains * 16.0, "vpmaddwd + vpaddd ymm", peak_fmas_ymm, k_chains * 8.0,
                               "vfmadd ymm", peak_read_ymm};

}  // namespace octet
