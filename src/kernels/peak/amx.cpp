// tdpbusd on four tiles of sums. FP32 and streams are AVX512's.

#include <immintrin.h>

#include "kernels/conv_u8s8/amx_isa.h"
#include "kernels/peak/peak_isa.h"

namespace octet {
namespace {

void dots(int64_t repeats) {
  conv_amx_configure(k_amx_step_bytes);
  for (int64_t i = 0; i < repeats; ++i) {
    _tile_dpbusd(0, 4, 6);
    _tile_dpbusd(1, 4, 7);
    _tile_dpbusd(2, 5, 6);
    _tile_dpbusd(3, 5, 7);
  }
}

}  // namespace

const PeakKernels peak_amx = {dots, 4 * 16384.0, "tdpbusd", peak_fmas_zmm, 24 * 16.0, "vfmadd zmm", peak_read_zmm};

}  // namespace octet
