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
inline __attribute__((always_inline)) uint16_t* copy_segment(const void* from, int64_t elements, uint16_t* to) {
  const auto* const floats = static_cast<const float*>(from);
  const auto* const shorts = static_cast<const uint16_t*>(from);
  int64_t k = 0;
  for (; k + 32 <= elements; k += 32) {
    const __m512i whole =
        from_f32 ? (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(floats + k + 16), _mm512_loadu_ps(floats + k))
                 : _mm512_loadu_si512(shorts + k);
    _mm512_storeu_si512(to + k, whole);
  }
  if (const int64_t left = elements - k; left > 0)
    _mm512_storeu_si512(
        to + k, from_f32 ? load_rounded(floats + k, left) : _mm512_maskz_loadu_epi16(first_32(left), shorts + k));
  return to + elements;
}

template <bool from_f32>
void gather(const ConvBf16Gather& row) {
  constexpr int64_t k_bytes = from_f32 ? 4 : 2;
  const auto first = [&](int64_t s) {
    return static_cast<const char*>(row.rows[s * row.row_step]) + k_bytes * row.first_position;
  };
  if (row.repeats > 1) {
    const char* from = first(0);
    uint16_t* to = row.to;
    for (int64_t i = 0; i < row.repeats; ++i, from += k_bytes * row.from_step, to += row.to_step)
      _mm512_storeu_si512(copy_segment<from_f32>(from, row.elements, to), _mm512_setzero_si512());
    return;
  }
  uint16_t* to = row.to;
  for (int64_t s = 0; s < row.segments; ++s) to = copy_segment<from_f32>(first(s), row.elements, to);
  _mm512_storeu_si512(to, _mm512_setzero_si512());
}

/// Words of the vectors [channel 0, 16 pixels][channel 1] and [channel 2][channel 3] in the order of 16 pixels of
/// `channels` words.
struct alignas(64) PixelOrder {
  uint16_t words[64] = {};
  constexpr explicit PixelOrder(int channels) {
    for (int i = 0; i < 16 * channels; ++i) words[i] = static_cast<uint16_t>(i % channels * 16 + i / channels);
  }
};
constexpr PixelOrder k_pixel_orders[] = {PixelOrder(1), PixelOrder(2), PixelOrder(3), PixelOrder(4)};

/// Planes side by side: 16 pixels at a time.
void gather_planes(const ConvBf16Gather& row) {
  const int64_t planes = row.elements, channels = row.to_step;
  const float* const x = static_cast<const float*>(row.rows[0]) + row.first_position;
  const __m512i *const order = (const __m512i*)k_pixel_orders[channels - 1].words, first = order[0], second = order[1];
  uint16_t* to = row.to;
  for (int64_t p = 0; p < row.repeats; p += 16, to += 16 * channels) {
    const __mmask16 mask = first_16(row.repeats - p);
    const auto plane = [&](int64_t c) {
      return _mm512_maskz_loadu_ps(c < planes ? mask : __mmask16{0}, x + (c < planes ? c : 0) * row.element_step + p);
    };
    const __m512i low = (__m512i)_mm512_cvtne2ps_pbh(plane(1), plane(0));
    const __m512i high = (__m512i)_mm512_cvtne2ps_pbh(plane(3), plane(2));
    _mm512_storeu_si512(to, _mm512_permutex2var_epi16(low, first, high));
    if (channels > 2) _mm512_storeu_si512(to + 32, _mm512_permutex2var_epi16(low, second, high));
  }
}

enum class Residual { none, f32, bf16 };

__m512 widen(__m256i bf16) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bf16), 16)); }

template <Residual kind>
inline __attribute__((always_inline)) __m512 residual_at(const void* residual, int64_t at, __mmask16 mask) {
  if constexpr (kind == Residual::f32) return _mm512_maskz_loadu_ps(mask, static_cast<const float*>(residual) + at);
  return widen(_mm256_maskz_loadu_epi16(mask, static_cast<const uint16_t*>(residual) + at));
}

template <Residual kind, bool y_is_bf16>
void finish(const ConvBf16Finish& f) {
  // max and min return their second operand when one is NaN: that keeps the NaN of a value.
  const __m512 lo = _mm512_set1_ps(f.lo), hi = _mm512_set1_ps(f.hi);
  const int64_t channels = f.channels, sums_step = f.sums_step, y_step = f.y_step, residual_step = f.residual_step;
  for (int64_t r = 0; r < f.rows; ++r) {
    const float* const sums = f.sums + r * sums_step;
    const auto value = [&](int64_t c, __mmask16 mask) __attribute__((always_inline)) {
      __m512 v = _mm512_maskz_loadu_ps(mask, sums + c);
      if constexpr (kind != Residual::none)
        v = _mm512_add_ps(v, residual_at<kind>(f.residual, r * residual_step + c, mask));
      return _mm512_min_ps(hi, _mm512_max_ps(lo, v));
    };
    int64_t c = 0;
    for (; c + 32 <= channels; c += 32) {
      const __m512 low = value(c, 0xffff), high = value(c + 16, 0xffff);
      if constexpr (y_is_bf16) {
        _mm512_storeu_si512(static_cast<uint16_t*>(f.y) + r * y_step + c, (__m512i)_mm512_cvtne2ps_pbh(high, low));
      } else {
        _mm512_storeu_ps(static_cast<float*>(f.y) + r * y_step + c, low);
        _mm512_storeu_ps(static_cast<float*>(f.y) + r * y_step + c + 16, high);
      }
    }
    for (; c < channels; c += 16) {
      const __mmask16 mask = first_16(channels - c);
      const __m512 v = value(c, mask);
      if constexpr (y_is_bf16)
        _mm256_mask_storeu_epi16(static_cast<uint16_t*>(f.y) + r * y_step + c, mask, (__m256i)_mm512_cvtneps_pbh(v));
      else
        _mm512_mask_storeu_ps(static_cast<float*>(f.y) + r * y_step + c, mask, v);
    }
  }
}

/// C: vectors of the panel.
template <int C, Residual kind, bool y_is_bf16>
void finish_tile(const ConvBf16TileRun& f, const float* sums, const int32_t* sum_rows, int first, int end) {
  const __mmask16 last = first_16(f.channels - 16 * (C - 1));
  const __m512 lo = _mm512_set1_ps(f.lo), hi = _mm512_set1_ps(f.hi);
  for (int r = first; r < end; ++r) {
    const float* const from = sums + sum_rows[r] * k_amx_block_channels;
    __m512 v[C];
#pragma GCC unroll 2
    for (int i = 0; i < C; ++i) {
      v[i] = _mm512_load_ps(from + 16 * i);
      if constexpr (kind != Residual::none)
        v[i] = _mm512_add_ps(v[i], residual_at<kind>(f.residual, f.residual_pixels[r] * f.residual_step + 16 * i,
                                                     i + 1 < C ? __mmask16{0xffff} : last));
      v[i] = _mm512_min_ps(hi, _mm512_max_ps(lo, v[i]));
    }
    const int64_t at = f.y_pixels[r] * f.y_step;
    if constexpr (!y_is_bf16) {
      float* const y = static_cast<float*>(f.y) + at;
      if constexpr (C > 1) _mm512_storeu_ps(y, v[0]);
      _mm512_mask_storeu_ps(y + 16 * (C - 1), last, v[C - 1]);
    } else if constexpr (C > 1) {
      uint16_t* const y = static_cast<uint16_t*>(f.y) + at;
      const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(v[1], v[0]);
      if (last == 0xffff)
        _mm512_storeu_si512(y, both);
      else
        _mm512_mask_storeu_epi16(y, 0xffffu | static_cast<__mmask32>(last) << 16, both);
    } else {
      _mm256_mask_storeu_epi16(static_cast<uint16_t*>(f.y) + at, last, (__m256i)_mm512_cvtneps_pbh(v[0]));
    }
  }
}

template <int C, Residual kind>
void finish_tile_to(const ConvBf16TileRun& f, const float* sums, const int32_t* sum_rows, int first, int end) {
  return f.y_is_bf16 ? finish_tile<C, kind, true>(f, sums, sum_rows, first, end)
                     : finish_tile<C, kind, false>(f, sums, sum_rows, first, end);
}

template <int C>
void finish_panel(const ConvBf16TileRun& f, const float* sums, const int32_t* sum_rows, int first, int end) {
  if (!f.residual) return finish_tile_to<C, Residual::none>(f, sums, sum_rows, first, end);
  return f.residual_is_bf16 ? finish_tile_to<C, Residual::bf16>(f, sums, sum_rows, first, end)
                            : finish_tile_to<C, Residual::f32>(f, sums, sum_rows, first, end);
}

template <Residual kind>
void finish_to(const ConvBf16Finish& f) {
  f.y_is_bf16 ? finish<kind, true>(f) : finish<kind, false>(f);
}

}  // namespace

void conv_bf16_gather(const ConvBf16Gather& row) {
  if (row.element_step > 1) return gather_planes(row);
  row.from_f32 ? gather<true>(row) : gather<false>(row);
}

void conv_bf16_finish(const ConvBf16Finish& rows) {
  if (!rows.residual) return finish_to<Residual::none>(rows);
  rows.residual_is_bf16 ? finish_to<Residual::bf16>(rows) : finish_to<Residual::f32>(rows);
}

void conv_bf16_amx_finish(const ConvBf16TileRun& run, const float* sums, const int32_t* sum_rows, int first, int last) {
  return run.channels > 16 ? finish_panel<2>(run, sums, sum_rows, first, last)
                           : finish_panel<1>(run, sums, sum_rows, first, last);
}

}  // namespace octet
