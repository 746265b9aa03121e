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
    if (has_residual(form)) _mm_prefetch(tile.residual + tile.residual_pixels[r] * tile.residual_step, _MM_HINT_T0);
    const int64_t pixel = tile.y_pixels[r];
    const char* y = static_cast<const char*>(tile.y) + pixel * tile.y_step * (is_f32(form) ? 4 : 1);
    __builtin_prefetch(y, 1, 3);
  }
}

/// The residual of the tile's pixel r; null without one.
template <Form form>
inline __attribute__((always_inline)) const uint8_t* residual_of(const ConvU8S8Run& tile, int r) {
  return has_residual(form) ? tile.residual + tile.residual_pixels[r] * tile.residual_step : nullptr;
}

/// f = cvt(acc) * m, or fma(cvt(acc), m, cvt(residual - zr) * mr). Codes are clamped from above: clamping before
/// rounding equals clamping after it, since rounding is monotone and the bound is an integer. Plain codes
/// (ConvU8S8Run::is_plain) are clamped by the packs behind.
template <int C, Form form, bool is_plain = false>
inline __attribute__((always_inline)) void scale(const ConvU8S8Run& tile, const __m512i (&acc)[C],
                                                 const uint8_t* residual, __m512 upper, __m512 (&f)[C]) {
  __m512i codes[C];
  if (has_residual(form)) residual_codes<C>(residual, tile.channels, is_f32(form), codes);
#pragma GCC unroll 4
  for (int v = 0; v < C; ++v) {
    const __m512 m = _mm512_loadu_ps(tile.multiplier + 16 * v);
    f[v] = _mm512_cvtepi32_ps(acc[v]);
    if (has_residual(form)) {
      const __m512 mr = _mm512_set1_ps(tile.residual_multiplier);
      f[v] = _mm512_fmadd_ps(f[v], m, _mm512_mul_ps(centred_residual(codes[v], tile.residual_zero_point), mr));
    } else {
      f[v] = _mm512_mul_ps(f[v], m);
    }
    if (!is_f32(form) && !is_plain) f[v] = _mm512_min_ps(f[v], upper);
  }
}

// Not inlined into the loop over tiles: the constants of the last lines would be kept in registers across it, and the
// inner loop has none to spare.
template <int R, int C, Form form, bool is_plain, int W>
__attribute__((noinline)) void run_tile(const ConvU8S8Run& tile) {
  prefetch_next<R, form>(tile);
  __m512i acc[R][C];
  if constexpr (W > 0)
    accumulate_rows<R, C, W>(tile, acc);
  else
    accumulate<R, C>(tile, acc);
  const __m512 upper = _mm512_set1_ps(static_cast<float>(tile.hi - tile.y_zero_point));
  if constexpr (C == 1 && !is_f32(form)) {
#pragma GCC unroll 3
    for (int first = 0; first < R; first += 4) {
      __m512 f[4];
      uint8_t* y[4];
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        const int r = first + i < R ? first + i : R - 1;  // the last pixel may be stored several times
        __m512 one[1];
        scale<C, form, is_plain>(tile, acc[r], residual_of<form>(tile, r), upper, one);
        f[i] = one[0];
        y[i] = static_cast<uint8_t*>(tile.y) + tile.y_pixels[r] * tile.y_step;
      }
      store_four<is_plain>(tile, f, y);
    }
  } else if constexpr (C == 2 && !is_f32(form)) {
#pragma GCC unroll 6
    for (int r = 0; r < R; r += 2) {
      const int other = r + 1 < R ? r + 1 : r;  // a last odd pixel is stored twice
      __m512 f0[C], f1[C];
      scale<C, form, is_plain>(tile, acc[r], residual_of<form>(tile, r), upper, f0);
      scale<C, form, is_plain>(tile, acc[other], residual_of<form>(tile, other), upper, f1);
      uint8_t* const y = static_cast<uint8_t*>(tile.y);
      store_two<is_plain>(tile, f0, f1, y + tile.y_pixels[r] * tile.y_step, y + tile.y_pixels[other] * tile.y_step);
    }
  } else {
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      const int64_t pixel = tile.y_pixels[r];
      __m512 f[C];
      scale<C, form, is_plain>(tile, acc[r], residual_of<form>(tile, r), upper, f);
      if (is_f32(form))
        store_floats<C>(tile, f, static_cast<float*>(tile.y) + pixel * tile.y_step);
      else
        store_codes<C, is_plain>(tile, f, static_cast<uint8_t*>(tile.y) + pixel * tile.y_step);
    }
  }
}

template <int R, int C, Form form, bool is_plain = false, int W = 0>
void run_tiles(const ConvU8S8Run& run) {
  ConvU8S8Run tile = run;
  for (int32_t t = 0; t < run.tiles; ++t) {
    run_tile<R, C, form, is_plain, W>(tile);
    tile.x_offsets += R;
    tile.y_pixels += R;
    if (has_residual(form)) tile.residual_pixels += R;
    tile.prefetch += tile.segments * tile.dwords * tile.prefetch_step;
  }
}

template <int R, int C>
void run_form(const ConvU8S8Run& run) {
  if (run.f32_output) return run.residual ? run_tiles<R, C, Form::f32_residual>(run) : run_tiles<R, C, Form::f32>(run);
  if (run.is_plain)
    return run.residual ? run_tiles<R, C, Form::u8_residual, true>(run) : run_tiles<R, C, Form::u8, true>(run);
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

template <int rows, int vectors>
constexpr ConvU8S8Kernel zmm_kernel(const char* name) {
  return {run_panel<rows, vectors>, rows, 16, vectors, false, 0.5, name};
}

}  // namespace
}  // namespace octet
