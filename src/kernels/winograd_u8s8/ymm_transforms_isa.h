#pragma once
// The two 256-bit kernels, the way in and the way out of a tile. Everything is in an unnamed namespace: each ISA file
// has its own copy with its own flags.

#include <immintrin.h>

#include "kernels/winograd_u8s8/winograd_isa.h"

namespace octet {
namespace {

/// B^T of six vectors of s16, modulo 2^16.
inline __attribute__((always_inline)) void transform_six(const __m256i (&d)[6], __m256i (&t)[6]) {
  const __m256i a = _mm256_sub_epi16(d[4], _mm256_slli_epi16(d[2], 2));  // d4 - 4 d2
  const __m256i b = _mm256_sub_epi16(d[3], _mm256_slli_epi16(d[1], 2));  // d3 - 4 d1
  const __m256i c = _mm256_sub_epi16(d[4], d[2]);
  const __m256i half = _mm256_sub_epi16(d[3], d[1]), e = _mm256_add_epi16(half, half);  // 2 d3 - 2 d1
  t[0] = _mm256_add_epi16(_mm256_slli_epi16(_mm256_sub_epi16(d[0], d[2]), 2), c);       // 4 d0 - 5 d2 + d4
  t[1] = _mm256_add_epi16(a, b);
  t[2] = _mm256_sub_epi16(a, b);
  t[3] = _mm256_add_epi16(c, e);
  t[4] = _mm256_sub_epi16(c, e);
  t[5] = _mm256_sub_epi16(_mm256_sub_epi16(d[5], d[3]), _mm256_add_epi16(e, e));  // 4 d1 - 5 d3 + d5
}

void input(const WinogradInput& tile) {
  // A constant meets the rows' sums, which are 0 but for row 1's -6: the zero point is taken out behind the sums.
  const __m256i centre = _mm256_set1_epi16(static_cast<int16_t>(36 * tile.zero_point));
  for (int64_t c = 0; c < tile.channels; c += 16) {
    __m256i columns[6][6];  // [column][row of B^T]; more than the registers
    for (int x = 0; x < 6; ++x) {
      __m256i d[6];
#pragma GCC unroll 6
      for (int y = 0; y < 6; ++y) {
        const uint8_t* const from =
            tile.pixels ? tile.pixels[6 * y + x] : tile.x + y * tile.row_bytes + x * tile.pixel_bytes;
        d[y] = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + c)));
      }
      transform_six(d, columns[x]);
    }
    int16_t* to = tile.to + c;
    for (int y = 0; y < 6; ++y) {
      __m256i d[6], t[6];
#pragma GCC unroll 6
      for (int x = 0; x < 6; ++x) d[x] = columns[x][y];
      transform_six(d, t);
      if (y == 1) t[1] = _mm256_sub_epi16(t[1], centre);
#pragma GCC unroll 6
      for (int x = 0; x < 6; ++x, to += tile.step) _mm256_store_si256(reinterpret_cast<__m256i*>(to), t[x]);
    }
  }
}

/// A^T of six vectors, times 24, 12, 6 and 6.
inline __attribute__((always_inline)) void transform_back(const __m256i (&m)[6], __m256i (&y)[4]) {
  const __m256i p = _mm256_add_epi32(m[1], m[2]), q = _mm256_sub_epi32(m[1], m[2]);
  const __m256i r = _mm256_add_epi32(m[3], m[4]), s = _mm256_sub_epi32(m[3], m[4]);
  y[0] = _mm256_add_epi32(_mm256_add_epi32(m[0], r), _mm256_slli_epi32(p, 2));
  y[1] = _mm256_add_epi32(_mm256_add_epi32(q, q), s);
  y[2] = _mm256_add_epi32(p, r);
  y[3] = _mm256_add_epi32(_mm256_add_epi32(q, m[5]), _mm256_add_epi32(s, s));
}

constexpr int k_ninth = 0x38e38e39;       // 9 * k_ninth = 1 modulo 2^32
constexpr int k_shift[4] = {3, 2, 1, 1};  // 24, 12, 6 and 6 are 3 times these powers of two

void output(const WinogradOutput& tile) {
  const __m256i ninth = _mm256_set1_epi32(k_ninth);
  for (int v = 0; v < tile.vectors; ++v) {
    const int32_t* const from = tile.sums + 8 * v;
    __m256i half[4][6];
    for (int x = 0; x < 6; ++x) {
      __m256i m[6], y[4];
#pragma GCC unroll 6
      for (int i = 0; i < 6; ++i)
        m[i] = _mm256_load_si256(reinterpret_cast<const __m256i*>(from + (6 * i + x) * tile.step));
      transform_back(m, y);
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) half[i][x] = y[i];
    }
    const __m256i bias = _mm256_load_si256(reinterpret_cast<const __m256i*>(tile.bias + 8 * v));
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      __m256i y[4];
      transform_back(half[i], y);
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) {
        const __m256i sum = _mm256_srai_epi32(_mm256_mullo_epi32(y[j], ninth), k_shift[i] + k_shift[j]);
        _mm256_store_si256(reinterpret_cast<__m256i*>(tile.pixels + (4 * i + j) * tile.panel + 8 * v),
                           _mm256_add_epi32(sum, bias));
      }
    }
  }
}

}  // namespace
}  // namespace octet
