// u8 x s8 convolution for AVX2 where no two products can leave 16 bits: vpmaddubsw adds them saturating, vpmaddwd with
// ones adds the pairs of a dword in 32 bits. The layer proves it from its weights and the largest code of its input
// (fits_pairs). 6 pixels x 16 channels.

#include "kernels/conv_u8s8/ymm_isa.h"

namespace octet {
namespace {

struct AddPairs {
  __m256i ones = _mm256_set1_epi16(1);
  __m256i operator()(__m256i sum, __m256i x, __m256i w) const {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(x, w), ones));
  }
};

}  // namespace

const ConvU8S8Kernel conv_u8s8_avx2_pairs = {
    run_panel<Tiles<DwordTiles<AddPairs>::Tile>, k_rows, 2>, k_rows, 8, 2, false, 1.0, "avx2 6x16 pairs"};

}  // namespace octet
