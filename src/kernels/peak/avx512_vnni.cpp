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
  const auto* at = static_cast<const __m512i*>(data);
  __m512i all[4] = {};
  for (size_t i = 0; i < bytes / 64; i += 4)
    for (size_t k = 0; k < 4; ++k) all[k] = _mm512_or_si512(all[k], _mm512_load_si512(at + i + k));
  const __m512i any = _mm512_or_si512(_mm512_or_si512(all[0], all[1]), _mm512_or_si512(all[2], all[3]));
  return static_cast<uint64_t>(_mm512_reduce_or_epi64(any));
}

const PeakKernels peak_avx512_vnni = {dots,         k_chains * 64.0, "vpdpbusd zmm", peak_fmas_zmm, k_chains * 16.0,
                                      "vfmadd zmm", peak_read_zmm};

}  // namespace octet
