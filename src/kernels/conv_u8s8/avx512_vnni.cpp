// u8 x s8 convolution for AVX512-VNNI: tiles of up to 6 pixels x 64 channels in 24 accumulators. A step of the inner
// loop takes 4 positions: 4 weight vectors, 6 broadcasts, 24 vpdpbusd (10 loads for 24 dot products, so the loads are
// hidden).

#include <immintrin.h>

#include "kernels/conv_u8s8/conv_u8s8_isa.h"

namespace octet {
namespace {

enum class Form { u8, u8_residual, f32, f32_residual };

constexpr bool has_residual(Form form) { return form == Form::u8_residual || form == Form::f32_residual; }
constexpr bool is_f32(Form form) { return form == Form::f32 || form == Form::f32_residual; }

__m512i broadcast_4(const uint8_t* p) {
  int32_t four;
  __builtin_memcpy(&four, p, 4);
  return _mm512_set1_epi32(four);
}

template <int R, int C>
inline __attribute__((always_inline)) void accumulate(const ConvU8S8Run& tile, __m512i (&acc)[R][C]) {
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < C; ++v) acc[r][v] = _mm512_loadu_si512(tile.bias + 16 * v);
  const char* weights = static_cast<const char*>(tile.weights);
  const char* prefetch = tile.prefetch;
  const int64_t dwords = tile.dwords, prefetch_step = prefetch < tile.prefetch_end ? 64 : 0;
  for (int64_t s = 0; s < tile.segments; ++s) {
    const uint8_t* row[R];
    for (int r = 0; r < R; ++r) row[r] = tile.rows[s * k_conv_tile_rows + r];
    for (int64_t d = 0; d < dwords; ++d) {
      _mm_prefetch(prefetch, _MM_HINT_T1);
      prefetch += prefetch_step;
      __m512i w[C];
      for (int v = 0; v < C; ++v) w[v] = _mm512_load_si512(weights + 64 * v);
      weights += 64 * C;
#pragma GCC unroll 6
      for (int r = 0; r < R; ++r) {
        const __m512i x = broadcast_4(row[r] + 4 * d);
        for (int v = 0; v < C; ++v) acc[r][v] = _mm512_dpbusd_epi32(acc[r][v], x, w[v]);
      }
    }
  }
}

/// The 16 residual codes that belong to vector v, widened to s32. Packed order: see conv_u8s8_channel.
template <int C>
inline __attribute__((always_inline)) void residual_codes(const uint8_t* p, int32_t channels, bool f32,
                                                          __m512i (&r)[C]) {
  if (C == 4 && !f32) {
    const __mmask64 mask = channels >= 64 ? ~__mmask64{0} : (__mmask64{1} << channels) - 1;
    const __m512i codes = _mm512_maskz_loadu_epi8(mask, p);
    const __m512i zero = _mm512_setzero_si512();
    const __m512i low = _mm512_unpacklo_epi8(codes, zero), high = _mm512_unpackhi_epi8(codes, zero);
    r[0] = _mm512_unpacklo_epi16(low, zero);
    r[C > 1 ? 1 : 0] = _mm512_unpackhi_epi16(low, zero);
    r[C > 2 ? 2 : 0] = _mm512_unpacklo_epi16(high, zero);
    r[C > 3 ? 3 : 0] = _mm512_unpackhi_epi16(high, zero);
    return;
  }
  for (int v = 0; v < C; ++v) {
    const int32_t left = channels - 16 * v;
    const __mmask16 mask = left >= 16 ? 0xffff : (1 << left) - 1;
    r[v] = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, p + 16 * v));
  }
}

/// Stores one pixel of u8 codes; f holds the requantized values, already clamped from above.
template <int C>
inline __attribute__((always_inline)) void store_codes(const ConvU8S8Run& tile, const __m512 (&f)[C], uint8_t* y) {
  // From below nothing needs a clamp in float: vcvtps2dq gives INT_MIN for anything too small, and packs saturates it.
  if (C == 4) {
    const __m512i zero_point = _mm512_set1_epi16(static_cast<int16_t>(tile.y_zero_point));
    __m512i low = _mm512_packs_epi32(_mm512_cvtps_epi32(f[0]), _mm512_cvtps_epi32(f[C > 1 ? 1 : 0]));
    __m512i high = _mm512_packs_epi32(_mm512_cvtps_epi32(f[C > 2 ? 2 : 0]), _mm512_cvtps_epi32(f[C > 3 ? 3 : 0]));
    low = _mm512_adds_epi16(low, zero_point);
    high = _mm512_adds_epi16(high, zero_point);
    const __m512i codes = _mm512_max_epu8(_mm512_packus_epi16(low, high), _mm512_set1_epi8(static_cast<char>(tile.lo)));
    if (tile.channels == 64)
      _mm512_storeu_si512(y, codes);
    else
      _mm512_mask_storeu_epi8(y, (__mmask64{1} << tile.channels) - 1, codes);
    return;
  }
  for (int v = 0; v < C; ++v) {
    const __m512i sum = _mm512_add_epi32(_mm512_cvtps_epi32(f[v]), _mm512_set1_epi32(tile.y_zero_point));
    const __m128i codes = _mm512_cvtusepi32_epi8(_mm512_max_epi32(sum, _mm512_set1_epi32(tile.lo)));
    const int32_t left = tile.channels - 16 * v;
    if (left >= 16)
      _mm_storeu_si128(reinterpret_cast<__m128i*>(y + 16 * v), codes);
    else
      _mm_mask_storeu_epi8(y + 16 * v, static_cast<__mmask16>((1 << left) - 1), codes);
  }
}

template <int C>
inline __attribute__((always_inline)) void store_floats(const ConvU8S8Run& tile, const __m512 (&f)[C], float* y) {
  for (int v = 0; v < C; ++v) {
    const int32_t left = tile.channels - 16 * v;
    _mm512_mask_storeu_ps(y + 16 * v, static_cast<__mmask16>(left >= 16 ? 0xffff : (1 << left) - 1), f[v]);
  }
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

// Not inlined into the loop over tiles: the constants of the last lines would be kept in registers across it, and the
// inner loop has none to spare.
template <int R, int C, Form form>
__attribute__((noinline)) void run_tile(const ConvU8S8Run& tile) {
  prefetch_next<R, form>(tile);
  __m512i acc[R][C];
  accumulate<R, C>(tile, acc);
  // Clamping before rounding equals clamping after it: rounding is monotone and the bound is an integer.
  const __m512 upper = _mm512_set1_ps(static_cast<float>(tile.hi - tile.y_zero_point));
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r) {
    __m512 f[C];
    __m512i codes[C];
    if (has_residual(form))
      residual_codes<C>(tile.residual + r * tile.residual_step, tile.channels, is_f32(form), codes);
    for (int v = 0; v < C; ++v) {
      const __m512 m = _mm512_loadu_ps(tile.multiplier + 16 * v);
      f[v] = _mm512_cvtepi32_ps(acc[r][v]);
      if (has_residual(form)) {
        const __m512i centred = _mm512_sub_epi32(codes[v], _mm512_set1_epi32(tile.residual_zero_point));
        const __m512 mr = _mm512_set1_ps(tile.residual_multiplier);
        f[v] = _mm512_fmadd_ps(f[v], m, _mm512_mul_ps(_mm512_cvtepi32_ps(centred), mr));
      } else {
        f[v] = _mm512_mul_ps(f[v], m);
      }
      if (!is_f32(form)) f[v] = _mm512_min_ps(f[v], upper);
    }
    if (is_f32(form))
      store_floats<C>(tile, f, static_cast<float*>(tile.y) + r * tile.y_step);
    else
      store_codes<C>(tile, f, static_cast<uint8_t*>(tile.y) + r * tile.y_step);
  }
}

template <int R, int C, Form form>
void run_tiles(const ConvU8S8Run& run) {
  ConvU8S8Run tile = run;
  for (int32_t t = 0; t < run.tiles; ++t) {
    run_tile<R, C, form>(tile);
    tile.rows += tile.segments * k_conv_tile_rows;
    if (has_residual(form)) tile.residual += R * tile.residual_step;
    tile.y = static_cast<char*>(tile.y) + R * tile.y_step * (is_f32(form) ? 4 : 1);
    tile.prefetch += tile.segments * tile.dwords * 64;
  }
}

template <int R, int C>
void run_form(const ConvU8S8Run& run) {
  if (run.f32_output) return run.residual ? run_tiles<R, C, Form::f32_residual>(run) : run_tiles<R, C, Form::f32>(run);
  return run.residual ? run_tiles<R, C, Form::u8_residual>(run) : run_tiles<R, C, Form::u8>(run);
}

template <int C>
void run_rows(const ConvU8S8Run& run) {
  switch (run.row_count) {
    case 1: return run_form<1, C>(run);
    case 2: return run_form<2, C>(run);
    case 3: return run_form<3, C>(run);
    case 4: return run_form<4, C>(run);
    case 5: return run_form<5, C>(run);
    default: return run_form<6, C>(run);
  }
}

void run_any(const ConvU8S8Run& run) {
  switch ((run.channels + 15) / 16) {
    case 1: return run_rows<1>(run);
    case 2: return run_rows<2>(run);
    case 3: return run_rows<3>(run);
    default: return run_rows<4>(run);
  }
}

}  // namespace

const ConvU8S8Kernel conv_u8s8_avx512_vnni = {run_any, 16, 4, false, "avx512_vnni 6x64"};

}  // namespace octet
