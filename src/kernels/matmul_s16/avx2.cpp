// vpmaddwd adds two s16 products.
#include "kernels/matmul_s16/rows_isa.h"
#include "kernels/matmul_s16/ymm_isa.h"

namespace octet {
namespace {

__m256i add_products(__m256i acc, __m256i a, __m256i b) { return _mm256_add_epi32(acc, _mm256_madd_epi16(a, b)); }

}  // namespace

const MatMulS16Kernels matmul_s16_avx2 = {panels<add_products>, centre_row, centre_pair, scale_row,
                                          quantize_rows,        nullptr,    nullptr,     nullptr,
                                          "matmul_s16 avx2"};

}  // namespace octet
