// Twenty-four chains on zmm registers.

#include <immintrin.h>

#include "kernels/peak/peak_isa.h"

namespace octet {
namespace {

constexpr int k_chains = 24;

void dots(int64_t repeats) {
  for (int64_t i = 0; i < repeats; ++i)
    __asm__ volatile(
        ".irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23\n"
        " vpdpbusd %%zmm30, %%zmm31, %%zmm\\r\n .endr" ::
            : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
              "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23");
}

}  // namespace

void peak_fmas_zmm(int64_t repeats) {
  // From zeros: what lies in the registers may be denormal, which takes some CPUs a hundred times as long.
  __asm__ volatile(
      ".irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,30,31\n vpxord %%zmm\\r, %%zmm\\r, "
      "%%zmm\\r\n .endr\n"
      "1:\n .irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23\n"
      " vfmadd231ps %%zmm30, %%zmm31, %%zmm\\r\n .endr\n dec %0\n jnz 1b"
      : "+r"(repeats)
      :
      : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
        "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm30",
        "xmm31");
}

uint64_t peak_read_zmm(const void* data, size_t bytes) {
  // In assembly, so that the sums stay in registers: as an array gcc -O2 keeps them on the stack, and the loop waits
  // for its own stores at a third of L2's rate.
  const auto* at = static_cast<const __m512i*>(data);
  __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
  for (size_t i = 0; i < bytes / 64; i += 8)
    __asm__ volatile(
        "vporq (%4), %0, %0\n"
        "vporq 64(%4), %1, %1\n"
        "vporq 128(%4), %2, %2\n"
        "vporq 192(%4), %3, %3\n"
        "vporq 256(%4), %0, %0\n"
        "vporq 320(%4), %1, %1\n"
        "vporq 384(%4), %2, %2\n"
        "vporq 448(%4), %3, %3\n"
        : "+v"(a), "+v"(b), "+v"(c), "+v"(d)
        : "r"(at + i)
        : "memory");
  const __m512i any = _mm512_or_si512(_mm512_or_si512(a, b), _mm512_or_si512(c, d));
  return static_cast<uint64_t>(_mm512_reduce_or_epi64(any));
}

const PeakKernels peak_avx512_vnni = {dots,         k_chains * 64.0, "vpdpbusd zmm", peak_fmas_zmm, k_chains * 16.0,
                                      "vfmadd zmm", peak_read_zmm};

}  // namespace octet
