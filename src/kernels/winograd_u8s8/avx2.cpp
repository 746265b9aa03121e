// Integer Winograd F(4x4, 3x3) for AVX2: pairs of products of s16 by vpmaddwd, whose sums fit, added modulo 2^32.

#include "kernels/winograd_u8s8/ymm_isa.h"

namespace octet {
namespace {

struct MaddAdd {
  __m256i operator()(__m256i sum, __m256i x, __m256i w) const { return _mm256_add_epi32(sum, _mm256_madd_epi16(x, w)); }
};

}  // namespace

const WinogradKernel winograd_u8s8_avx2 = ymm_kernel<MaddAdd>(0.67, "avx2 4x4");

}  // namespace octet
