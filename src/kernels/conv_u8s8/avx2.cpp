// u8 x s8 convolution for AVX2, exact. vpmaddubsw would add two u8 * s8 products in 16 saturating bits (255 * 127 * 2 >
// 32767), so weights are s16 here and each dword of 4 codes is split into two vectors of s16 pairs by an and and a
// shift; vpmaddwd then adds pairs of products in 32 bits. 3 pixels x 32 channels: what splits
// a dword serves four vectors of weights.

#include "kernels/conv_u8s8/ymm_isa.h"

namespace octet {
namespace {

/// sum += x * w, pair by pair. gcc 12 would keep the weights of a step in registers for its rows, and five of twelve
/// sums on the stack in their place.
inline __attribute__((always_inline)) void add_products(__m256i& sum, __m256i x, const __m256i* w) {
  __m256i products;
  asm("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(sum), "=&x"(products) : "x"(x), "m"(*w));
}

template <int R, int C>
struct WideTile {
  // Not inlined into the loop over tiles: the constants of the last lines would be kept in registers across it, and the
  // inner loop has none to spare.
  __attribute__((noinline)) static void run(const ConvU8S8Run& tile) {
    __m256i acc[R][C];
#pragma GCC unroll 3
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < C; ++v) acc[r][v] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(tile.bias + 8 * v));
    const uint8_t* row[R];
    for (int r = 0; r < R; ++r) row[r] = tile.x + tile.x_offsets[r];
    const __m256i low_bytes = _mm256_set1_epi16(0xff);
    const WindowSegment* const end = tile.segment_list + tile.segments;
    for (const WindowSegment* s = tile.segment_list; s < end; ++s) {
      const __m256i* weights = static_cast<const __m256i*>(tile.weights) + 2 * C * s->dword;
      const int64_t last = s->x + 4 * s->dwords;
      for (int64_t at = s->x; at != last; at += 4) {
#pragma GCC unroll 3
        for (int r = 0; r < R; ++r) {
          const __m256i x = broadcast_4(row[r] + at);
          const __m256i even = _mm256_and_si256(x, low_bytes), odd = _mm256_srli_epi16(x, 8);
#pragma GCC unroll 4
          for (int v = 0; v < C; ++v) {
            add_products(acc[r][v], even, weights + 2 * v);
            add_products(acc[r][v], odd, weights + 2 * v + 1);
          }
        }
        weights += 2 * C;
      }
    }
    finish<R, C>(tile, acc);
  }
};

}  // namespace

const ConvU8S8Kernel conv_u8s8_avx2 = {run_panel<Tiles<WideTile>, 3, 4>, 3, 8, 4, true, 1.35, "avx2 3x32"};

}  // namespace octet
