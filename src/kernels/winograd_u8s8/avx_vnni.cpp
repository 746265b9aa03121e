// Integer Winograd F(4x4, 3x3) for AVX-VNNI: products of s16 by vpdpwssd, which wraps.

#include "kernels/winograd_u8s8/ymm_isa.h"

namespace octet {
namespace {

struct Dpwssd {
  __m256i operator()(__m256i sum, __m256i x, __m256i w) const { return _mm256_dpwssd_avx_epi32(sum, x, w); }
};

}  // namespace

const WinogradKernel winograd_u8s8_avx_vnni = ymm_kernel<Dpwssd>(0.5, "avx_vnni 4x4");

}  // namespace octet
