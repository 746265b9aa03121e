// vpdpbusd on ymm registers.

#include "kernels/peak/peak_isa.h"

namespace octet {
namespace {

constexpr int k_chains = 12;

void dots(int64_t repeats) {
  for (int64_t i = 0; i < repeats; ++i)
    __asm__ volatile(".irp r,0,1,2,3,4,5,6,7,8,9,10,11\n %{vex%} vpdpbusd %%ymm14, %%ymm15, %%ymm\\r\n .endr" ::
                         : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
                           "xmm11");
}

}  // namespace

const PeakKernels peak_avx_vnni = {dots,           k_chains * 32.0, "vpdpbusd ymm", peak_fmas_ymm,
                                   k_chains * 8.0, "vfmadd ymm",    peak_read_ymm};

}  // namespace octet
