// u8 x s8 convolution for AVX2 where no two products can leave 16 bits: vpmaddubsw adds them saturating, vpmaddwd with
// ones adds the pairs of a dword in 32 bits. The layer proves it from its weights and the largest code of its input
// (fits_pairs). 6 pixels x 16 channels.

#include "kernels/conv_u8s8/ymm_isa.h"

namespace octet {
namespace {

template <int R, int C>
struct PairTile {
  // Not inlined into the loop over tiles: the constants of the last lines would be kept in registers across it, and the
  // inner loop has none to spare.
  __attribute__((noinline)) static void run(const ConvU8S8Run& tile) {
    __m256i acc[R][C];
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r)
      for (int v = 0; v < C; ++v) acc[r][v] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(tile.bias + 8 * v));
    const __m256i ones = _mm256_set1_epi16(1);
    const uint8_t* row[R];
    for (int r = 0; r < R; ++r) row[r] = tile.x + tile.x_offsets[r];
    const WindowSegment* const end = tile.segment_list + tile.segments;
    for (const WindowSegment* s = tile.segment_list; s < end; ++s) {
      const __m256i* weights = static_cast<const __m256i*>(tile.weights) + C * s->dword;
      const int64_t last = s->x + 4 * tile.dwords;
      for (int64_t at = s->x; at != last; at += 4) {
        __m256i w[C];
        for (int v = 0; v < C; ++v) w[v] = _mm256_load_si256(weights++);
#pragma GCC unroll 6
        for (int r = 0; r < R; ++r) {
          const __m256i x = broadcast_4(row[r] + at);
          for (int v = 0; v < C; ++v)
            acc[r][v] = _mm256_add_epi32(acc[r][v], _mm256_madd_epi16(_mm256_maddubs_epi16(x, w[v]), ones));
        }
      }
    }
    finish<R, C>(tile, acc);
  }
};

}  // namespace

const ConvU8S8Kernel conv_u8s8_avx2_pairs = {run_any<PairTile>, k_rows, 8, 2, false, 1.0, "avx2 6x16 pairs"};

}  // namespace octet
