// u8 x s8 convolution for AVX-VNNI: vpdpbusd. 6 pixels x 16 channels.

#include "kernels/conv_u8s8/ymm_isa.h"

namespace octet {
namespace {

struct Dpbusd {
  __m256i operator()(__m256i sum, __m256i x, __m256i w) const { return _mm256_dpbusd_avx_epi32(sum, x, w); }
};

}  // namespace

const ConvU8S8Kernel conv_u8s8_avx_vnni = {
    run_panel<Tiles<DwordTiles<Dpbusd>::Tile>, k_rows, 2>, k_rows, 8, 2, false, 0.5, "avx_vnni 6x16"};

}  // namespace octet
