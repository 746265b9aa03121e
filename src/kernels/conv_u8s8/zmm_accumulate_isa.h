#pragma once
// The inner loop of the 512-bit kernels. Everything is in an unnamed namespace: each file that includes this has its
// own copy.

#include <immintrin.h>

#include "kernels/conv_u8s8/conv_u8s8_isa.h"

namespace octet {
namespace {

inline __m512i broadcast_4(const uint8_t* p) {
  int32_t four;
  __builtin_memcpy(&four, p, 4);
  return _mm512_set1_epi32(four);
}

/// Where a tile is, in memory: the inner loop has no general register for it. Volatile, since gcc 12 would keep it in
/// vector registers, and moves from there wait behind all products that are under way; so would the next tile's.
using Kept = ConvU8S8Run* volatile;

template <int R, int C>
inline __attribute__((always_inline)) void accumulate(const Kept& kept, __m512i (&acc)[R][C]) {
  const ConvU8S8Run& tile = *kept;
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < C; ++v) acc[r][v] = _mm512_loadu_si512(tile.bias + 16 * v);
  const uint8_t* row[R];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) row[r] = tile.x + tile.x_offsets[r];
  const char* prefetch = tile.prefetch;
  const int64_t prefetch_step = prefetch < tile.prefetch_end ? tile.prefetch_step : 0;
  const int64_t second_line = prefetch_step > 64 ? 64 : 0;
  // In memory like the tile's place, and read once for each segment.
  const WindowSegment* volatile next = tile.segment_list;
  const WindowSegment* volatile end = tile.segment_list + tile.segments;
  while (next < end) {
    const ConvU8S8Run& own = *kept;
    const WindowSegment* const s = next;
    next = s + 1;
    const char* weights = static_cast<const char*>(own.weights) + 64 * C * s->dword;
    const int64_t last = s->x + 4 * s->dwords;
    for (int64_t at = s->x; at != last; at += 4) {
      if constexpr (C > 1) {  // a step of one vector is bound by its loads already
        _mm_prefetch(prefetch, _MM_HINT_T1);
        _mm_prefetch(prefetch + second_line, _MM_HINT_T1);
        prefetch += prefetch_step;
      }
      __m512i w[C];
#pragma GCC unroll 4
      for (int v = 0; v < C; ++v) w[v] = _mm512_load_si512(weights + 64 * v);
      weights += 64 * C;
#pragma GCC unroll 12
      for (int r = 0; r < R; ++r) {
        const __m512i x = broadcast_4(row[r] + at);
#pragma GCC unroll 4
        for (int v = 0; v < C; ++v) acc[r][v] = _mm512_dpbusd_epi32(acc[r][v], x, w[v]);
      }
    }
  }
}

}  // namespace
}  // namespace octet
