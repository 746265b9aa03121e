// vdpbf16ps: twenty-four chains on zmm registers.

#include "kernels/peak/peak_isa.h"

namespace octet {

void peak_bf16_zmm(int64_t repeats) {
  // From zeros: what lies in the registers may be denormal, which takes some CPUs a hundred times as long.
  __asm__ volatile(
      ".irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,30,31\n vpxord %%zmm\\r, %%zmm\\r, "
      "%%zmm\\r\n .endr\n"
      "1:\n .irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23\n"
      " vdpbf16ps %%zmm30, %%zmm31, %%zmm\\r\n .endr\n dec %0\n jnz 1b"
      : "+r"(repeats)
      :
      : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
        "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm30",
        "xmm31");
}

}  // namespace octet
