#pragma once
// Inner loops of the 512-bit kernels for pixels that lie side by side: tiles of whole rows, and tiles of neighbours.
// Everything is in an unnamed namespace: each file that includes this has its own copy.

#include <immintrin.h>

#include "kernels/conv_u8s8/zmm_accumulate_isa.h"

namespace octet {
namespace {

/// One tap of a kernel row for rows of W pixels: kx = 0 has nothing for the first of a row, kx = 2 for the last.
template <int R, int C, int W, int kx>
inline __attribute__((always_inline)) void accumulate_tap(const uint8_t* const (&row)[R], int64_t at, int64_t last,
                                                          const char*& weights, const char*& prefetch,
                                                          int64_t prefetch_step, int64_t second_line,
                                                          __m512i (&acc)[R][C]) {
  for (; at != last; at += 4) {
    if constexpr (C > 1) {
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
      if ((kx == 0 && r % W == 0) || (kx == 2 && r % W == W - 1)) continue;
      const __m512i x = broadcast_4(row[r] + at);
#pragma GCC unroll 4
      for (int v = 0; v < C; ++v) acc[r][v] = _mm512_dpbusd_epi32(acc[r][v], x, w[v]);
    }
  }
}

/// accumulate() for tiles of whole rows (ConvU8S8Run::row_width = W).
template <int R, int C, int W>
inline __attribute__((always_inline)) void accumulate_rows(const Kept& kept, __m512i (&acc)[R][C]) {
  const ConvU8S8Run& tile = *kept;
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
    const int side = r % W == 0 ? 1 : r % W == W - 1 ? 2 : 0;
    const int32_t* const bias = tile.bias + side * tile.side_bias_step;
#pragma GCC unroll 4
    for (int v = 0; v < C; ++v) acc[r][v] = _mm512_loadu_si512(bias + 16 * v);
  }
  const uint8_t* row[R];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) row[r] = tile.x + tile.x_offsets[r];
  const char* prefetch = tile.prefetch;
  const int64_t prefetch_step = prefetch < tile.prefetch_end ? tile.prefetch_step : 0;
  const int64_t second_line = prefetch_step > 64 ? 64 : 0;
  const int64_t tap = tile.segments > 0 ? 4 * (tile.segment_list->dwords / 3) : 0;  // none in a row of padding
  const WindowSegment* volatile next = tile.segment_list;
  const WindowSegment* volatile end = tile.segment_list + tile.segments;
  while (next < end) {
    const ConvU8S8Run& own = *kept;
    const WindowSegment* const s = next;
    next = s + 1;
    const char* weights = static_cast<const char*>(own.weights) + 64 * C * s->dword;
    accumulate_tap<R, C, W, 0>(row, s->x, s->x + tap, weights, prefetch, prefetch_step, second_line, acc);
    accumulate_tap<R, C, W, 1>(row, s->x + tap, s->x + 2 * tap, weights, prefetch, prefetch_step, second_line, acc);
    accumulate_tap<R, C, W, 2>(row, s->x + 2 * tap, s->x + 3 * tap, weights, prefetch, prefetch_step, second_line, acc);
  }
}

/// The same for tiles of neighbours under a window of three columns (ConvU8S8Run::neighbour_step): each column of the
/// input is loaded once for the three pixels that it meets.
template <int R>
inline __attribute__((always_inline)) void accumulate_neighbours(const Kept& kept, __m512i (&acc)[R][1]) {
  const ConvU8S8Run& tile = *kept;
  const uint32_t width = static_cast<uint32_t>(tile.row_width);
  const uint32_t column = static_cast<uint32_t>(tile.first_column + tile.y_pixels[0]) % width;
  const bool is_first = column == 0, is_last = column + R == width;
  const __m512i bias = _mm512_loadu_si512(tile.bias);
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) acc[r][0] = bias;
  if (is_first) acc[0][0] = _mm512_loadu_si512(tile.bias + tile.side_bias_step);
  if (is_last) acc[R - 1][0] = _mm512_loadu_si512(tile.bias + 2 * tile.side_bias_step);
  const uint8_t* const origin = tile.x + tile.x_offsets[0];
  const int64_t step = tile.neighbour_step;
  const WindowSegment* volatile next = tile.segment_list;
  const WindowSegment* volatile end = tile.segment_list + tile.segments;
  while (next < end) {
    const WindowSegment* const s = next;
    next = s + 1;
    const char* weights = static_cast<const char*>((*kept).weights) + 64 * s->dword;
    const uint8_t* x = origin + s->x;
    const int64_t tap_bytes = 64 * s->dwords;
    for (const char* const last = weights + tap_bytes; weights != last; weights += 64, x += 4) {
      const __m512i w0 = _mm512_load_si512(weights), w1 = _mm512_load_si512(weights + tap_bytes),
                    w2 = _mm512_load_si512(weights + 2 * tap_bytes);
      const uint8_t* at = x;
      if (!is_first) acc[0][0] = _mm512_dpbusd_epi32(acc[0][0], broadcast_4(at), w0);
#pragma GCC unroll 16
      for (int c = 1; c <= R; ++c) {
        at += step;
        __asm__("" : "+r"(at));  // one pointer that moves: gcc would rather keep sixteen offsets
        const __m512i column_codes = broadcast_4(at);
        if (c < R) acc[c][0] = _mm512_dpbusd_epi32(acc[c][0], column_codes, w0);
        acc[c - 1][0] = _mm512_dpbusd_epi32(acc[c - 1][0], column_codes, w1);
        if (c > 1) acc[c - 2][0] = _mm512_dpbusd_epi32(acc[c - 2][0], column_codes, w2);
      }
      if (!is_last) acc[R - 1][0] = _mm512_dpbusd_epi32(acc[R - 1][0], broadcast_4(at + step), w2);
    }
  }
}

}  // namespace
}  // namespace octet
