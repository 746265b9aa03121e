#pragma once
// The 512-bit kernels: tiles of up to `rows` pixels x `vectors` * 16 channels in rows * vectors accumulators. A step of
// the inner loop takes 4 positions: `vectors` weight vectors, `rows` broadcasts, rows * vectors vpdpbusd; 6 x 4, 8 x 3
// and 12 x 2 leave the loads hidden and fill most of the 32 registers. Everything is in an unnamed namespace: each file
// that includes this has its own copy.

#include <immintrin.h>

#include "kernels/conv_u8s8/conv_u8s8_isa.h"

namespace octet {
namespace {

enum class Form { u8, u8_residual, f32, f32_residual };

constexpr bool has_residual(Form form) { return form == Form::u8_residual || form == Form::f32_residual; }
constexpr bool is_f32(Form form) { return form == Form::f32 || form == Form::f32_residual; }

inline __m512i broadcast_4(const uint8_t* p) {
  int32_t four;
  __builtin_memcpy(&four, p, 4);
  return _mm512_set1_epi32(four);
}

template <int rows, int R, int C>
inline __attribute__((always_inline)) void accumulate(const ConvU8S8Run& tile, __m512i (&acc)[R][C]) {
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < C; ++v) acc[r][v] = _mm512_loadu_si512(tile.bias + 16 * v);
  const char* weights = static_cast<const char*>(tile.weights);
  const char* prefetch = tile.prefetch;
  const int64_t dwords = tile.dwords, prefetch_step = prefetch < tile.prefetch_end ? 64 : 0;
  for (int64_t s = 0; s < tile.segments; ++s) {
    const uint8_t* row[R];
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) row[r] = tile.rows[s * rows + r] + tile.first_position;
    for (int64_t d = 0; d < dwords; ++d) {
      if constexpr (C > 1) {  // a step of one vector is bound by its loads already
        _mm_prefetch(prefetch, _MM_HINT_T1);
        prefetch += prefetch_step;
      }
      __m512i w[C];
#pragma GCC unroll 4
      for (int v = 0; v < C; ++v) w[v] = _mm512_load_si512(weights + 64 * v);
      weights += 64 * C;
#pragma GCC unroll 12
      for (int r = 0; r < R; ++r) {
        const __m512i x = broadcast_4(row[r] + 4 * d);
#pragma GCC unroll 4
        for (int v = 0; v < C; ++v) acc[r][v] = _mm512_dpbusd_epi32(acc[r][v], x, w[v]);
      }
    }
  }
}

constexpr __mmask64 first_bytes(int64_t n) { return n >= 64 ? ~__mmask64{0} : (__mmask64{1} << n) - 1; }

/// The residual codes that belong to each vector, widened to s32. Packed order (u8 output): lane l of 128 bits holds
/// the channels 4 C l .. 4 C (l + 1) - 1, four in each vector (conv_u8s8_channel).
template <int C>
inline __attribute__((always_inline)) void residual_codes(const uint8_t* p, int32_t channels, bool f32,
                                                          __m512i (&r)[C]) {
  const __m512i zero = _mm512_setzero_si512();
  if (C == 1 || f32) {
    for (int v = 0; v < C; ++v) {
      const __mmask16 mask = static_cast<__mmask16>(first_bytes(channels - 16 * v));
      r[v] = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, p + 16 * v));
    }
    return;
  }
  if (C == 2) {
    const __m512i words =
        _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(static_cast<__mmask32>(first_bytes(channels)), p));
    r[0] = _mm512_unpacklo_epi16(words, zero);
    r[C > 1 ? 1 : 0] = _mm512_unpackhi_epi16(words, zero);
    return;
  }
  __m512i codes = _mm512_maskz_loadu_epi8(first_bytes(channels), p);
  if (C == 3) {  // 12 bytes to each lane
    const __m512i spread = _mm512_setr_epi32(0, 1, 2, 2, 3, 4, 5, 5, 6, 7, 8, 8, 9, 10, 11, 11);
    codes = _mm512_permutexvar_epi32(spread, codes);
  }
  const __m512i low = _mm512_unpacklo_epi8(codes, zero), high = _mm512_unpackhi_epi8(codes, zero);
  r[0] = _mm512_unpacklo_epi16(low, zero);
  r[C > 1 ? 1 : 0] = _mm512_unpackhi_epi16(low, zero);
  r[C > 2 ? 2 : 0] = _mm512_unpacklo_epi16(high, zero);
  if (C == 4) r[C > 3 ? 3 : 0] = _mm512_unpackhi_epi16(high, zero);
}

/// Requantized values, already clamped from above, to words with the zero point. From below nothing needs a clamp in
/// float: vcvtps2dq gives INT_MIN for anything too small, and packs saturates it.
inline __attribute__((always_inline)) __m512i words_of(__m512 f0, __m512 f1, int32_t zero_point) {
  const __m512i words = _mm512_packs_epi32(_mm512_cvtps_epi32(f0), _mm512_cvtps_epi32(f1));
  return _mm512_adds_epi16(words, _mm512_set1_epi16(static_cast<int16_t>(zero_point)));
}

inline __attribute__((always_inline)) __m512i codes_of(const ConvU8S8Run& tile, __m512i low, __m512i high) {
  return _mm512_max_epu8(_mm512_packus_epi16(low, high), _mm512_set1_epi8(static_cast<char>(tile.lo)));
}

/// Stores one pixel of u8 codes of 3 or 4 vectors.
template <int C>
inline __attribute__((always_inline)) void store_codes(const ConvU8S8Run& tile, const __m512 (&f)[C], uint8_t* y) {
  const __m512i low = words_of(f[0], f[C > 1 ? 1 : 0], tile.y_zero_point);
  const __m512i high = words_of(f[C > 2 ? 2 : 0], f[C - 1], tile.y_zero_point);
  __m512i codes = codes_of(tile, low, high);
  if (C == 3) {  // 12 of the 16 bytes of each lane count
    const __m512i gather = _mm512_setr_epi32(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 3, 7, 11, 15);
    codes = _mm512_permutexvar_epi32(gather, codes);
  }
  if (C == 4 && tile.channels == 64)
    _mm512_storeu_si512(y, codes);
  else
    _mm512_mask_storeu_epi8(y, first_bytes(tile.channels), codes);
}

/// Stores two pixels of two vectors each, which fill one vector of codes.
inline __attribute__((always_inline)) void store_two(const ConvU8S8Run& tile, const __m512 (&f0)[2],
                                                     const __m512 (&f1)[2], uint8_t* y0, uint8_t* y1) {
  const __m512i low = words_of(f0[0], f0[1], tile.y_zero_point);
  const __m512i high = words_of(f1[0], f1[1], tile.y_zero_point);
  const __m512i by_pixel = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
  const __m512i codes = _mm512_permutexvar_epi64(by_pixel, codes_of(tile, low, high));
  const __mmask32 mask = static_cast<__mmask32>(first_bytes(tile.channels));
  _mm256_mask_storeu_epi8(y0, mask, _mm512_castsi512_si256(codes));
  _mm256_mask_storeu_epi8(y1, mask, _mm512_extracti64x4_epi64(codes, 1));
}

/// Stores four pixels of one vector each.
inline __attribute__((always_inline)) void store_four(const ConvU8S8Run& tile, const __m512 (&f)[4],
                                                      uint8_t* const (&y)[4]) {
  const __m512i low = words_of(f[0], f[1], tile.y_zero_point), high = words_of(f[2], f[3], tile.y_zero_point);
  const __m512i by_pixel = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i codes = _mm512_permutexvar_epi32(by_pixel, codes_of(tile, low, high));
  const __mmask16 mask = static_cast<__mmask16>(first_bytes(tile.channels));
  _mm_mask_storeu_epi8(y[0], mask, _mm512_castsi512_si128(codes));
  _mm_mask_storeu_epi8(y[1], mask, _mm512_extracti32x4_epi32(codes, 1));
  _mm_mask_storeu_epi8(y[2], mask, _mm512_extracti32x4_epi32(codes, 2));
  _mm_mask_storeu_epi8(y[3], mask, _mm512_extracti32x4_epi32(codes, 3));
}

template <int C>
inline __attribute__((always_inline)) void store_floats(const ConvU8S8Run& tile, const __m512 (&f)[C], float* y) {
  for (int v = 0; v < C; ++v)
    _mm512_mask_storeu_ps(y + 16 * v, static_cast<__mmask16>(first_bytes(tile.channels - 16 * v)), f[v]);
}

/// The lines that the next tile of this panel, R pixels on, will read and write: they may be as far as DRAM, and what
/// follows the accumulation is too short to hide that.
template <int R, Form form>
inline __attribute__((always_inline)) void prefetch_next(const ConvU8S8Run& tile) {
  for (int r = R; r < 2 * R; ++r) {
    if (has_residual(form)) _mm_prefetch(tile.residual + r * tile.residual_step, _MM_HINT_T0);
    const char* y = static_cast<const char*>(tile.y) + r * tile.y_step * (is_f32(form) ? 4 : 1);
    __builtin_prefetch(y, 1, 3);
  }
}

/// f = cvt(acc) * m, or fma(cvt(acc), m, cvt(residual - zr) * mr). Codes are clamped from above: clamping before
/// rounding equals clamping after it, since rounding is monotone and the bound is an integer.
template <int C, Form form>
inline __attribute__((always_inline)) void scale(const ConvU8S8Run& tile, const __m512i (&acc)[C], int r, __m512 upper,
                                                 __m512 (&f)[C]) {
  __m512i codes[C];
  if (has_residual(form)) residual_codes<C>(tile.residual + r * tile.residual_step, tile.channels, is_f32(form), codes);
#pragma GCC unroll 4
  for (int v = 0; v < C; ++v) {
    const __m512 m = _mm512_loadu_ps(tile.multiplier + 16 * v);
    f[v] = _mm512_cvtepi32_ps(acc[v]);
    if (has_residual(form)) {
      const __m512i centred = _mm512_sub_epi32(codes[v], _mm512_set1_epi32(tile.residual_zero_point));
      const __m512 mr = _mm512_set1_ps(tile.residual_multiplier);
      f[v] = _mm512_fmadd_ps(f[v], m, _mm512_mul_ps(_mm512_cvtepi32_ps(centred), mr));
    } else {
      f[v] = _mm512_mul_ps(f[v], m);
    }
    if (!is_f32(form)) f[v] = _mm512_min_ps(f[v], upper);
  }
}

// Not inlined into the loop over tiles: the constants of the last lines would be kept in registers across it, and the
// inner loop has none to spare.
template <int rows, int R, int C, Form form>
__attribute__((noinline)) void run_tile(const ConvU8S8Run& tile) {
  prefetch_next<R, form>(tile);
  __m512i acc[R][C];
  accumulate<rows, R, C>(tile, acc);
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
        scale<C, form>(tile, acc[r], r, upper, one);
        f[i] = one[0];
        y[i] = static_cast<uint8_t*>(tile.y) + r * tile.y_step;
      }
      store_four(tile, f, y);
    }
  } else if constexpr (C == 2 && !is_f32(form)) {
#pragma GCC unroll 6
    for (int r = 0; r < R; r += 2) {
      const int other = r + 1 < R ? r + 1 : r;  // a last odd pixel is stored twice
      __m512 f0[C], f1[C];
      scale<C, form>(tile, acc[r], r, upper, f0);
      scale<C, form>(tile, acc[other], other, upper, f1);
      uint8_t* const y = static_cast<uint8_t*>(tile.y);
      store_two(tile, f0, f1, y + r * tile.y_step, y + other * tile.y_step);
    }
  } else {
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      __m512 f[C];
      scale<C, form>(tile, acc[r], r, upper, f);
      if (is_f32(form))
        store_floats<C>(tile, f, static_cast<float*>(tile.y) + r * tile.y_step);
      else
        store_codes<C>(tile, f, static_cast<uint8_t*>(tile.y) + r * tile.y_step);
    }
  }
}

template <int rows, int R, int C, Form form>
void run_tiles(const ConvU8S8Run& run) {
  ConvU8S8Run tile = run;
  for (int32_t t = 0; t < run.tiles; ++t) {
    run_tile<rows, R, C, form>(tile);
    tile.rows += tile.segments * rows;
    if (has_residual(form)) tile.residual += R * tile.residual_step;
    tile.y = static_cast<char*>(tile.y) + R * tile.y_step * (is_f32(form) ? 4 : 1);
    tile.prefetch += tile.segments * tile.dwords * 64;
  }
}

template <int rows, int R, int C>
void run_form(const ConvU8S8Run& run) {
  if (run.f32_output)
    return run.residual ? run_tiles<rows, R, C, Form::f32_residual>(run) : run_tiles<rows, R, C, Form::f32>(run);
  return run.residual ? run_tiles<rows, R, C, Form::u8_residual>(run) : run_tiles<rows, R, C, Form::u8>(run);
}

/// Finds R = row_count among 1 .. rows.
template <int rows, int R, int C>
void run_rows(const ConvU8S8Run& run) {
  if constexpr (R > 1) {
    if (run.row_count < R) return run_rows<rows, R - 1, C>(run);
  }
  return run_form<rows, R, C>(run);
}

/// Finds C, the vectors that the panel's channels fill, among 1 .. vectors.
template <int rows, int C>
void run_panel(const ConvU8S8Run& run) {
  if constexpr (C > 1) {
    if (run.channels <= 16 * (C - 1)) return run_panel<rows, C - 1>(run);
  }
  return run_rows<rows, rows, C>(run);
}

template <int rows, int vectors>
constexpr ConvU8S8Kernel zmm_kernel(const char* name) {
  return {run_panel<rows, vectors>, rows, 16, vectors, false, 0.5, name};
}

}  // namespace
}  // namespace octet
