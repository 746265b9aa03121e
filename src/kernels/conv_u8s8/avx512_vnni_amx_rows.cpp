// What AMX leaves to AVX512: gathering the rows of a panel, and everything behind the sums.

#include "kernels/conv_u8s8/amx_isa.h"
#include "kernels/conv_u8s8/zmm_finish_isa.h"

namespace octet {
namespace {

template <int C, Form form, CodeClamp clamp>
void finish(const ConvU8S8Run& tile, const int32_t* sums, const int32_t* sum_rows, int from, int to) {
  finish_rows<C, form, clamp>(tile, sums, k_amx_block_channels, sum_rows, from, to);
}

/// Codes of whole panels that packs clamp, as most are: no masks, and the multipliers stay in registers.
template <Form form, CodeClamp clamp, bool from_zero = false>
void finish_whole(const ConvU8S8Run& tile, const int32_t* sums, const int32_t* sum_rows, int from, int to) {
  const __m512 m[2] = {_mm512_loadu_ps(tile.multiplier), _mm512_loadu_ps(tile.multiplier + 16)};
  const __m512 mr = _mm512_set1_ps(tile.residual_multiplier);
  const __m512 zr = _mm512_set1_ps(from_zero ? tile.residual_origin : tile.residual_centre);
  const __m512i exponent = _mm512_set1_epi16(0x4b00);
  const __m512i by_pixel = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
  const auto words = [&](int r) __attribute__((always_inline)) {
    const int32_t* const sum = sums + sum_rows[r] * k_amx_block_channels;
    __m512 f[2];
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) f[v] = _mm512_cvtepi32_ps(_mm512_load_si512(sum + 16 * v));
    if constexpr (form == Form::u8_residual) {
      // In the mantissa of 2^23 + code, as residual_codes() and scaled_residual() have it.
      const auto* const codes = reinterpret_cast<const __m256i*>(residual_of<form>(tile, r));
      const __m512i wide = _mm512_cvtepu8_epi16(_mm256_loadu_si256(codes));
      const __m512i both[2] = {_mm512_unpacklo_epi16(wide, exponent), _mm512_unpackhi_epi16(wide, exponent)};
#pragma GCC unroll 2
      for (int v = 0; v < 2; ++v) {
        const __m512 code = _mm512_castsi512_ps(both[v]);
        f[v] = _mm512_fmadd_ps(f[v], m[v],
                               from_zero ? _mm512_fmadd_ps(code, mr, zr) : _mm512_mul_ps(_mm512_sub_ps(code, zr), mr));
      }
    } else {
#pragma GCC unroll 2
      for (int v = 0; v < 2; ++v) f[v] = _mm512_mul_ps(f[v], m[v]);
    }
    return words_of<clamp>(tile, f[0], f[1]);
  };
  const auto store = [&](int r, __m256i codes) __attribute__((always_inline)) {
    uint8_t* const y = static_cast<uint8_t*>(tile.y) + tile.y_pixels[r] * tile.y_step;
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), codes);
  };
  int r = from;
  for (; r + 1 < to; r += 2) {
    const __m512i codes = _mm512_permutexvar_epi64(by_pixel, codes_of<clamp>(tile, words(r), words(r + 1)));
    store(r, _mm512_castsi512_si256(codes));
    store(r + 1, _mm512_extracti64x4_epi64(codes, 1));
  }
  if (r == to) return;
  const __m512i last = words(r);
  store(r, _mm512_castsi512_si256(_mm512_permutexvar_epi64(by_pixel, codes_of<clamp>(tile, last, last))));
}

template <int C, CodeClamp clamp>
void finish_codes(const ConvU8S8Run& run, const int32_t* sums, const int32_t* rows, int from, int to) {
  constexpr bool k_of_relu = is_of_relu(clamp);
  if (C == 2 && k_of_relu && run.channels == k_amx_block_channels && run.residual && run.residual_zero_point == 0)
    return finish_whole<Form::u8_residual, clamp, k_of_relu>(run, sums, rows, from, to);
  if (C == 2 && clamp != CodeClamp::any && run.channels == k_amx_block_channels)
    return run.residual ? finish_whole<Form::u8_residual, clamp>(run, sums, rows, from, to)
                        : finish_whole<Form::u8, clamp>(run, sums, rows, from, to);
  return run.residual ? finish<C, Form::u8_residual, clamp>(run, sums, rows, from, to)
                      : finish<C, Form::u8, clamp>(run, sums, rows, from, to);
}

template <int C>
void finish_form(const ConvU8S8Run& run, const int32_t* sums, const int32_t* rows, int from, int to) {
  if (run.f32_output) return finish<C, Form::f32, CodeClamp::any>(run, sums, rows, from, to);
  const auto finish_as = [&]<CodeClamp clamp>() { finish_codes<C, clamp>(run, sums, rows, from, to); };
  with_clamp(run.clamp, finish_as);
}

}  // namespace

void conv_amx_finish(const ConvU8S8Run& run, const int32_t* sums, const int32_t* sum_rows, int first, int last) {
  return run.channels > 16 ? finish_form<2>(run, sums, sum_rows, first, last)
                           : finish_form<1>(run, sums, sum_rows, first, last);
}

void conv_amx_gather(const ConvAmxGather& row) {
  uint8_t* to = row.to;
  for (int64_t s = 0; s < row.segments; ++s, to += row.bytes) {
    const uint8_t* const from = row.rows[s * row.row_step] + row.first_position;
    for (int64_t k = 0; k < row.bytes; k += 64) _mm512_storeu_si512(to + k, _mm512_loadu_si512(from + k));
  }
}

}  // namespace octet
