#pragma once
// The 512-bit kernels, what follows the sums of a tile: to values, to codes or floats, and out. Everything is in an
// unnamed namespace: each file that includes this has its own copy.

#include "kernels/conv_u8s8/zmm_store_isa.h"

namespace octet {
namespace {

/// Pixels [from, to) whose sums lie in memory: C vectors, one behind the other, at sums + step * (sum_rows[r], or r).
template <int C, Form form, CodeClamp clamp>
inline __attribute__((always_inline)) void finish_rows(const ConvU8S8Run& tile, const int32_t* sums, int64_t step,
                                                       const int32_t* sum_rows, int from, int to) {
  constexpr int k_step = is_f32(form) || C > 2 ? 1 : C == 2 ? 2 : 4;
  const __m512 upper = _mm512_set1_ps(static_cast<float>(tile.hi - tile.y_zero_point));
  for (int first = from; first < to; first += k_step) {
    __m512 f[k_step][C];
    int64_t at[k_step];
#pragma GCC unroll 4
    for (int i = 0; i < k_step; ++i) {
      const int r = first + i < to ? first + i : to - 1;  // the last pixel may be stored several times
      __m512i acc[C];
#pragma GCC unroll 4
      for (int v = 0; v < C; ++v) acc[v] = _mm512_load_si512(sums + step * (sum_rows ? sum_rows[r] : r) + 16 * v);
      scale<C, form, clamp>(tile, tile.multiplier, acc, residual_of<form>(tile, r), upper, f[i]);
      at[i] = tile.y_pixels[r] * tile.y_step;
    }
    uint8_t* const y = static_cast<uint8_t*>(tile.y);
    if constexpr (is_f32(form)) {
      store_floats<C>(tile, f[0], static_cast<float*>(tile.y) + at[0]);
    } else if constexpr (C > 2) {
      store_codes<C, clamp, false>(tile, f[0], y + at[0]);
    } else if constexpr (C == 2) {
      store_two<clamp, false>(tile, f[0], f[1], y + at[0], y + at[1]);
    } else {
      const __m512 four[4] = {f[0][0], f[1][0], f[2][0], f[3][0]};
      uint8_t* const out[4] = {y + at[0], y + at[1], y + at[2], y + at[3]};
      store_four<clamp, false>(tile, four, out);
    }
  }
}

/// One copy for tiles of any number of rows.
template <int C, Form form>
__attribute__((noinline)) void finish_any(const ConvU8S8Run& tile, const int32_t* sums, int rows) {
  finish_rows<C, form, CodeClamp::any>(tile, sums, 16 * C, nullptr, 0, rows);
}

/// The sums of a tile to codes. Those that packs alone do not clamp go through memory, so that there is less code, and
/// so do panels that are not whole.
template <int R, int C, Form form, CodeClamp clamp, bool from_zero = false>
inline __attribute__((always_inline)) void finish_codes(const ConvU8S8Run& tile, const __m512i (&acc)[R][C]) {
  // Locals: for all that the compiler knows, storing codes changes the tile's own.
  uint8_t* const y = static_cast<uint8_t*>(tile.y);
  const int32_t* const pixels = tile.y_pixels;
  const int64_t y_step = tile.y_step;
  const float* const multiplier = tile.multiplier;
  const auto scaled = [&](int r, __m512(&f)[C]) __attribute__((always_inline)) {
    scale<C, form, clamp, true, from_zero>(tile, multiplier, acc[r], residual_of<form>(tile, r), _mm512_setzero_ps(),
                                           f);
    return y + pixels[r] * y_step;
  };
  if constexpr (clamp == CodeClamp::any) {
    alignas(64) int32_t sums[R][16 * C];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < C; ++v) _mm512_store_si512(sums[r] + 16 * v, acc[r][v]);
    finish_any<C, form>(tile, sums[0], R);
  } else if constexpr (C == 1) {
#pragma GCC unroll 4
    for (int first = 0; first < R; first += 4) {
      __m512 f[4];
      uint8_t* to[4];
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        __m512 one[1];
        to[i] = scaled(first + i < R ? first + i : R - 1, one);  // the last pixel may be stored several times
        f[i] = one[0];
      }
      store_four<clamp, true>(tile, f, to);
    }
  } else if constexpr (C == 2) {
#pragma GCC unroll 6
    for (int r = 0; r < R; r += 2) {
      __m512 f0[C], f1[C];
      uint8_t* const y0 = scaled(r, f0);
      uint8_t* const y1 = scaled(r + 1 < R ? r + 1 : r, f1);  // a last odd pixel is stored twice
      store_two<clamp, true>(tile, f0, f1, y0, y1);
    }
  } else {
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      __m512 f[C];
      uint8_t* const to = scaled(r, f);
      store_codes<C, clamp, true>(tile, f, to);
    }
  }
}

template <int R, int C, Form form>
inline __attribute__((always_inline)) void finish_floats(const ConvU8S8Run& tile, const __m512i (&acc)[R][C]) {
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
    __m512 f[C];
    scale<C, form, CodeClamp::any>(tile, tile.multiplier, acc[r], residual_of<form>(tile, r), _mm512_setzero_ps(), f);
    store_floats<C>(tile, f, static_cast<float*>(tile.y) + tile.y_pixels[r] * tile.y_step);
  }
}

}  // namespace
}  // namespace octet
