// Gathering rows of bfloat16, and what is behind the sums, for AVX512-BF16; AMX uses them too.

#include <immintrin.h>

#include "kernels/conv_bf16/conv_bf16_isa.h"

namespace octet {
namespace {

__mmask32 first_32(int64_t n) { return n >= 32 ? ~__mmask32{0} : (__mmask32{1} << n) - 1; }
__mmask16 first_16(int64_t n) { return static_cast<__mmask16>(n >= 16 ? 0xffff : (1 << (n > 0 ? n : 0)) - 1); }

/// 32 elements as bfloat16; zero behind the first n.
inline __attribute__((always_inline)) __m512i load_rounded(const float* x, int64_t n) {
  const __m512 low = _mm512_maskz_loadu_ps(first_16(n), x), high = _mm512_maskz_loadu_ps(first_16(n - 16), x + 16);
  return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

template <bool from_f32>
void gather(const ConvBf16Gather& row) {
  uint16_t* to = row.to;
  for (int64_t s = 0; s < row.segments; ++s, to += row.elements) {
    const void* const pixel = row.rows[s * row.row_step];
    for (int64_t k = 0; k < row.elements; k += 32) {
      const int64_t at = row.first_position + k, left = row.elements - k;
      const __m512i elements = from_f32
                                   ? load_rounded(static_cast<const float*>(pixel) + at, left)
                                   : _mm512_maskz_loadu_epi16(first_32(left), static_cast<const uint16_t*>(pixel) + at);
      _mm512_storeu_si512(to + k, elements);
    }
  }
  _mm512_storeu_si512(to, _mm512_setzero_si512());
}

__m512 widen(__m256i bf16) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bf16), 16)); }

template <bool has_residual>
void finish(const ConvBf16Finish& f) {
  // max and min return their second operand when one is NaN: that keeps the NaN of a value.
  const __m512 lo = _mm512_set1_ps(f.lo), hi = _mm512_set1_ps(f.hi);
  for (int64_t r = 0; r < f.rows; ++r)
    for (int32_t c = 0; c < f.channels; c += 16) {
      const __mmask16 mask = first_16(f.channels - c);
      __m512 v = _mm512_maskz_loadu_ps(mask, f.sums + r * f.sums_step + c);
      if constexpr (has_residual) {
        const int64_t at = r * f.residual_step + c;
        v = _mm512_add_ps(v, f.residual_is_bf16
                                 ? widen(_mm256_maskz_loadu_epi16(mask, static_cast<const uint16_t*>(f.residual) + at))
                                 : _mm512_maskz_loadu_ps(mask, static_cast<const float*>(f.residual) + at));
      }
      v = _mm512_min_ps(hi, _mm512_max_ps(lo, v));
      const int64_t at = r * f.y_step + c;
      if (f.y_is_bf16)
        _mm256_mask_storeu_epi16(static_cast<uint16_t*>(f.y) + at, mask, (__m256i)_mm512_cvtneps_pbh(v));
      else
        _mm512_mask_storeu_ps(static_cast<float*>(f.y) + at, mask, v);
    }
}

}  // namespace

void conv_bf16_gather(const ConvBf16Gather& row) { row.from_f32 ? gather<true>(row) : gather<false>(row); }

void conv_bf16_finish(const ConvBf16Finish& rows) { rows.residual ? finish<true>(rows) : finish<false>(rows); }

}  // namespace octet
