// vpdpwssd adds two s16 products to an s32 sum.
#include "kernels/matmul_s16/rows_isa.h"
#include "kernels/matmul_s16/ymm_isa.h"

namespace octet {
namespace {

__m256i add_products(__m256i acc, __m256i a, __m256i b) { return _mm256_dpwssd_avx_epi32(acc, a, b); }

}  // namespace

const MatMulS16Kernels matmul_s16_avx_vnni = {panels<add_products>, centre_row, centre_pair, scale_row,
                                              quantize_rows,        nullptr,    nullptr,     nullptr,
                                              "matmul_s16 avx_vnni"};

}  // namespace octet
