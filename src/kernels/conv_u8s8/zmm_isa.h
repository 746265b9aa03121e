#pragma once
// The 512-bit kernels: tiles of up to `rows` pixels x `vectors` * 16 channels in rows * vectors accumulators. A step of
// the inner loop takes 4 positions: `vectors` weight vectors, `rows` broadcasts, rows * vectors vpdpbusd; 6 x 4, 8 x 3
// and 12 x 2 leave the loads hidden and fill most of the 32 registers. Everything is in an unnamed namespace: each file
// that includes this has its own copy.

#include <immintrin.h>

#include "kernels/conv_u8s8/conv_u8s8_isa.h"
#include "kernels/conv_u8s8/zmm_accumulate_isa.h"
#include "kernels/conv_u8s8/zmm_store_isa.h"

namespace octet {
namespace {

/// The lines that the next tile of this panel, R pixels on, will read and write: they may be as far as DRAM, and what
/// follows the accumulation is too short to hide that.
template <int R, Form form>
inline __attribute__((always_inline)) void prefetch_next(const ConvU8S8Run& tile) {
  for (int r = R; r < 2 * R; ++r) {
    if (has_residual<form>(tile))
      _mm_prefetch(tile.residual + tile.residual_pixels[r] * tile.residual_step, _MM_HINT_T0);
    const int64_t pixel = tile.y_pixels[r];
    const char* y = static_cast<const char*>(tile.y) + pixel * tile.y_step * (is_f32(form) ? 4 : 1);
    __builtin_prefetch(y, 1, 3);
  }
}

/// The residual of the tile's pixel r; null without one.
template <Form form>
inline __attribute__((always_inline)) const uint8_t* residual_of(const ConvU8S8Run& tile, int r) {
  return has_residual<form>(tile) ? tile.residual + tile.residual_pixels[r] * tile.residual_step : nullptr;
}

/// f = cvt(acc) * m, or fma(cvt(acc), m, cvt(residual - zr) * mr). Codes are clamped from above: clamping before
/// rounding equals clamping after it, since rounding is monotone and the bound is an integer. Only where CodeClamp::any
/// asks for it: other codes are clamped by the packs behind. is_whole: channels = 16 C. from_zero: of
/// scaled_residual().
template <int C, Form form, CodeClamp clamp, bool is_whole = false, bool from_zero = false>
inline __attribute__((always_inline)) void scale(const ConvU8S8Run& tile, const __m512i (&acc)[C],
                                                 const uint8_t* residual, __m512 upper, __m512 (&f)[C]) {
  __m512i codes[C];
  const bool adds = has_residual<form>(tile);
  if (adds) residual_codes<C, is_whole>(residual, tile.channels, is_f32(form), codes);
#pragma GCC unroll 4
  for (int v = 0; v < C; ++v) {
    const __m512 m = _mm512_loadu_ps(tile.multiplier + 16 * v);
    f[v] = _mm512_cvtepi32_ps(acc[v]);
    f[v] = adds ? _mm512_fmadd_ps(f[v], m, scaled_residual<from_zero>(tile, codes[v])) : _mm512_mul_ps(f[v], m);
    if (!is_f32(form) && clamp == CodeClamp::any) f[v] = _mm512_min_ps(f[v], upper);
  }
}

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
      scale<C, form, clamp>(tile, acc, residual_of<form>(tile, r), upper, f[i]);
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
  uint8_t* const y = static_cast<uint8_t*>(tile.y);
  const auto scaled = [&](int r, __m512(&f)[C]) __attribute__((always_inline)) {
    scale<C, form, clamp, true, from_zero>(tile, acc[r], residual_of<form>(tile, r), _mm512_setzero_ps(), f);
    return y + tile.y_pixels[r] * tile.y_step;
  };
  if constexpr (clamp == CodeClamp::any) {
    alignas(64) int32_t sums[R][16 * C];
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < C; ++v) _mm512_store_si512(sums[r] + 16 * v, acc[r][v]);
    finish_any<C, form>(tile, sums[0], R);
  } else if constexpr (C == 1) {
#pragma GCC unroll 3
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
    scale<C, form, CodeClamp::any>(tile, acc[r], residual_of<form>(tile, r), _mm512_setzero_ps(), f);
    store_floats<C>(tile, f, static_cast<float*>(tile.y) + tile.y_pixels[r] * tile.y_step);
  }
}

// Not inlined into the loop over tiles: the constants of the last lines would be kept in registers across it, and the
// inner loop has none to spare. How codes are clamped is asked behind the sums, so that they are there once for all
// ways.
template <int R, int C, Form form, int W>
__attribute__((noinline)) void run_tile(const ConvU8S8Run& tile) {
  prefetch_next<R, form>(tile);
  __m512i acc[R][C];
  if constexpr (W > 0)
    accumulate_rows<R, C, W>(tile, acc);
  else
    accumulate<R, C>(tile, acc);
  if constexpr (is_f32(form)) {
    finish_floats<R, C, form>(tile, acc);
  } else {
    constexpr bool k_adds = form == Form::u8_residual;
    const bool from_zero = k_adds && tile.residual_zero_point == 0;
    switch (tile.channels == 16 * C ? tile.clamp : CodeClamp::any) {
      case CodeClamp::u8:
        if (from_zero) return finish_codes<R, C, form, CodeClamp::u8, k_adds>(tile, acc);
        return finish_codes<R, C, form, CodeClamp::u8>(tile, acc);
      case CodeClamp::u7:
        if (from_zero) return finish_codes<R, C, form, CodeClamp::u7, k_adds>(tile, acc);
        return finish_codes<R, C, form, CodeClamp::u7>(tile, acc);
      case CodeClamp::s8: return finish_codes<R, C, form, CodeClamp::s8>(tile, acc);
      case CodeClamp::at_zero_point:
        if constexpr (form == Form::u8) return finish_codes<R, C, form, CodeClamp::at_zero_point>(tile, acc);
        [[fallthrough]];
      case CodeClamp::any: return finish_codes<R, C, form, CodeClamp::any>(tile, acc);
    }
  }
}

template <int R, int C, Form form, int W = 0>
void run_tiles(const ConvU8S8Run& run) {
  ConvU8S8Run tile = run;
  for (int32_t t = 0; t < run.tiles; ++t) {
    run_tile<R, C, form, W>(tile);
    tile.x_offsets += R;
    tile.y_pixels += R;
    if (has_residual<form>(tile)) tile.residual_pixels += R;
    tile.prefetch += tile.segments * tile.dwords * tile.prefetch_step;
  }
}

template <int R, int C>
void run_form(const ConvU8S8Run& run) {
  if (run.f32_output) return run_tiles<R, C, Form::f32>(run);
  return run.residual ? run_tiles<R, C, Form::u8_residual>(run) : run_tiles<R, C, Form::u8>(run);
}

/// Finds R = row_count among 1 .. rows.
template <int R, int C>
void run_rows(const ConvU8S8Run& run) {
  if constexpr (R > 1) {
    if (run.row_count < R) return run_rows<R - 1, C>(run);
  }
  return run_form<R, C>(run);
}

/// Finds C, the vectors that the panel's channels fill, among 1 .. vectors.
template <int rows, int C>
void run_panel(const ConvU8S8Run& run) {
  if constexpr (C > 1) {
    if (run.channels <= 16 * (C - 1)) return run_panel<rows, C - 1>(run);
  }
  return run_rows<rows, C>(run);
}

/// dot_cycles: two a cycle, and a few percent for the loads beside them, by measurement.
template <int rows, int vectors>
constexpr ConvU8S8Kernel zmm_kernel(const char* name, double dot_cycles) {
  return {run_panel<rows, vectors>, rows, 16, vectors, false, dot_cycles, name};
}

}  // namespace
}  // namespace octet
