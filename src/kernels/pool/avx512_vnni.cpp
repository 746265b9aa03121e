// AVX-512: 64 codes, 32 bfloat16 numbers or 16 floats of one output a step, the last step masked.

#include "kernels/pool/window.h"
#include "kernels/requantize_avx512.h"

namespace octet {
namespace {

/// Reads whole vectors: 64 bytes behind the last pixel are readable (README).
void max_u8_row(const WindowGeometry& g, const uint8_t* x, int64_t oy, uint8_t* y) {
  const TapRange h = rows_inside(g, oy);
  for (int64_t ox = 0; ox < g.ow; ++ox, y += g.y_pitch) {
    const Taps<uint8_t> taps = taps_of(g, x, h, ox);
    for (int64_t c = 0; c < g.ic; c += 64) {
      __m512i m = _mm512_setzero_si512();
      for (int64_t r = 0; r < taps.rows; ++r) {
        const uint8_t* pixel = taps.first + r * taps.row_step + c;
        for (int64_t k = 0; k < taps.columns; ++k, pixel += taps.column_step)
          m = _mm512_max_epu8(m, _mm512_loadu_si512(pixel));
      }
      _mm512_mask_storeu_epi8(y + c, first_64(g.ic - c), m);
    }
  }
}

/// max(v, m) returns m when v is NaN or equal: v > m ? v : m.
void max_f32_row(const WindowGeometry& g, const float* x, int64_t oy, float* y) {
  const TapRange h = rows_inside(g, oy);
  for (int64_t ox = 0; ox < g.ow; ++ox, y += g.y_pitch) {
    const Taps<float> taps = taps_of(g, x, h, ox);
    for (int64_t c = 0; c < g.ic; c += 16) {
      const __mmask16 mask = first_16(g.ic - c);
      __m512 m = _mm512_set1_ps(-__builtin_inff());
      for (int64_t r = 0; r < taps.rows; ++r) {
        const float* pixel = taps.first + r * taps.row_step + c;
        for (int64_t k = 0; k < taps.columns; ++k, pixel += taps.column_step)
          m = _mm512_max_ps(_mm512_maskz_loadu_ps(mask, pixel), m);
      }
      _mm512_mask_storeu_ps(y + c, mask, m);
    }
  }
}

/// As floats, those of even channels and those of odd ones, with zeros in their low halves.
void max_bf16_row(const WindowGeometry& g, const uint16_t* x, int64_t oy, uint16_t* y) {
  const __m512i high = _mm512_set1_epi32(static_cast<int>(0xffff0000));
  const TapRange h = rows_inside(g, oy);
  for (int64_t ox = 0; ox < g.ow; ++ox, y += g.y_pitch) {
    const Taps<uint16_t> taps = taps_of(g, x, h, ox);
    for (int64_t c = 0; c < g.ic; c += 32) {
      const __mmask32 mask = first_32(g.ic - c);
      __m512 even = _mm512_set1_ps(-__builtin_inff()), odd = even;
      for (int64_t r = 0; r < taps.rows; ++r) {
        const uint16_t* pixel = taps.first + r * taps.row_step + c;
        for (int64_t k = 0; k < taps.columns; ++k, pixel += taps.column_step) {
          const __m512i both = _mm512_maskz_loadu_epi16(mask, pixel);
          even = _mm512_max_ps(_mm512_castsi512_ps(_mm512_slli_epi32(both, 16)), even);
          odd = _mm512_max_ps(_mm512_castsi512_ps(_mm512_and_si512(both, high)), odd);
        }
      }
      const __m512i low = _mm512_srli_epi32(_mm512_castps_si512(even), 16);
      _mm512_mask_storeu_epi16(y + c, mask, _mm512_or_si512(low, _mm512_castps_si512(odd)));
    }
  }
}

// Sums of up to 257 codes fit 16 bits.
constexpr int64_t k_word_pixels = 256;

/// Sums of 64 channels: codes are added in two vectors of words, which go into dwords in time. Those lie as pack()
/// wants them.
struct Sums512 {
  __m512i v[4], lo, hi;
  explicit Sums512(__m512i start) : v{start, start, start, start}, lo(_mm512_setzero_si512()), hi(lo) {}
  void add(__m512i codes) {
    const __m512i zero = _mm512_setzero_si512();
    lo = _mm512_add_epi16(lo, _mm512_unpacklo_epi8(codes, zero));
    hi = _mm512_add_epi16(hi, _mm512_unpackhi_epi8(codes, zero));
  }
  void widen() {
    const __m512i zero = _mm512_setzero_si512();
    v[0] = _mm512_add_epi32(v[0], _mm512_unpacklo_epi16(lo, zero));
    v[1] = _mm512_add_epi32(v[1], _mm512_unpackhi_epi16(lo, zero));
    v[2] = _mm512_add_epi32(v[2], _mm512_unpacklo_epi16(hi, zero));
    v[3] = _mm512_add_epi32(v[3], _mm512_unpackhi_epi16(hi, zero));
    lo = hi = zero;
  }
  __m512i codes(const CodeRange512& range, __m512 multiplier) const {
    __m512i q[4];
    for (int j = 0; j < 4; ++j) q[j] = range.round(_mm512_mul_ps(_mm512_cvtepi32_ps(v[j]), multiplier));
    return range.pack(q[0], q[1], q[2], q[3]);
  }
  /// The first n channels in their order; lane l of v[j] holds four from 16 l + 4 j on.
  void floats(__m512 multiplier, float* y, int64_t n) const {
    float all[64];
    for (int j = 0; j < 4; ++j) {
      float lanes[16];
      _mm512_storeu_ps(lanes, _mm512_mul_ps(_mm512_cvtepi32_ps(v[j]), multiplier));
      for (int l = 0; l < 4; ++l) __builtin_memcpy(all + 16 * l + 4 * j, lanes + 4 * l, 4 * sizeof(float));
    }
    __builtin_memcpy(y, all, sizeof(float) * static_cast<size_t>(n < 64 ? n : 64));
  }
};

/// The sum over one window of 64 channels that begin at `first`. rows: as many rows of taps as fit words.
Sums512 sum_of_taps(const Taps<uint8_t>& taps, const uint8_t* first, __m512i start, int64_t rows) {
  Sums512 sums(start);
  for (int64_t r = 0; r < taps.rows; r += rows)
    for (int64_t k = 0; k < taps.columns; k += k_word_pixels) {
      const int64_t row_end = r + rows < taps.rows ? r + rows : taps.rows;
      const int64_t columns = taps.columns - k < k_word_pixels ? taps.columns - k : k_word_pixels;
      for (int64_t row = r; row < row_end; ++row) {
        const uint8_t* pixel = first + row * taps.row_step + k * taps.column_step;
        for (int64_t i = 0; i < columns; ++i, pixel += taps.column_step) sums.add(_mm512_loadu_si512(pixel));
      }
      sums.widen();
    }
  return sums;
}

/// 64 channels a step, or the last 16 in dwords.
void average_u8_row(const WindowGeometry& g, const AveragePoolU8Params& p, const uint8_t* x, int64_t oy, uint8_t* y) {
  const CodeRange512 range(p.y_zero_point, p.lo, p.hi);
  const __m512i zero = _mm512_setzero_si512();
  const int64_t rows = g.kw < k_word_pixels ? k_word_pixels / g.kw : 1;
  const TapRange h = rows_inside(g, oy);
  int64_t known = -1;  // as many taps as multiplier and start are for
  __m512 multiplier = _mm512_setzero_ps();
  __m512i start = zero;
  for (int64_t ox = 0; ox < g.ow; ++ox, y += g.y_pitch) {
    const Taps<uint8_t> taps = taps_of(g, x, h, ox);
    if (taps.count() != known) {
      known = taps.count();
      const double count = static_cast<double>(divisor(g, p.count_include_pad, known));
      multiplier = _mm512_set1_ps(static_cast<float>(p.x_scale / (p.y_scale * count)));
      start = _mm512_set1_epi32(static_cast<int32_t>(-p.x_zero_point * known));
    }
    int64_t c = 0;
    for (; g.ic - c > 16; c += 64) {
      const __m512i codes = sum_of_taps(taps, taps.first + c, start, rows).codes(range, multiplier);
      _mm512_mask_storeu_epi8(y + c, first_64(g.ic - c), codes);
    }
    if (c < g.ic) {
      __m512i sum = start;
      for (int64_t r = 0; r < taps.rows; ++r) {
        const uint8_t* pixel = taps.first + r * taps.row_step + c;
        for (int64_t k = 0; k < taps.columns; ++k, pixel += taps.column_step)
          sum = _mm512_add_epi32(sum, _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(pixel))));
      }
      const __m512i q = range.round(_mm512_mul_ps(_mm512_cvtepi32_ps(sum), multiplier));
      const __m512i codes = natural_order(range.pack(q, zero, zero, zero));
      _mm_mask_storeu_epi8(y + c, first_16(g.ic - c), _mm512_castsi512_si128(codes));
    }
  }
}

void average_u8_to_f32_row(const WindowGeometry& g, const AveragePoolU8Params& p, const uint8_t* x, int64_t oy,
                           float* y) {
  const int64_t rows = g.kw < k_word_pixels ? k_word_pixels / g.kw : 1;
  const TapRange h = rows_inside(g, oy);
  for (int64_t ox = 0; ox < g.ow; ++ox, y += g.y_pitch) {
    const Taps<uint8_t> taps = taps_of(g, x, h, ox);
    const double count = static_cast<double>(divisor(g, p.count_include_pad, taps.count()));
    const __m512 multiplier = _mm512_set1_ps(static_cast<float>(p.x_scale / count));
    const __m512i start = _mm512_set1_epi32(static_cast<int32_t>(-p.x_zero_point * taps.count()));
    for (int64_t c = 0; c < g.ic; c += 64)
      sum_of_taps(taps, taps.first + c, start, rows).floats(multiplier, y + c, g.ic - c);
  }
}

void average_f32_row(const WindowGeometry& g, bool count_include_pad, const float* x, int64_t oy, float* y) {
  const TapRange h = rows_inside(g, oy);
  for (int64_t ox = 0; ox < g.ow; ++ox, y += g.y_pitch) {
    const Taps<float> taps = taps_of(g, x, h, ox);
    const __m512 count = _mm512_set1_ps(static_cast<float>(divisor(g, count_include_pad, taps.count())));
    for (int64_t c = 0; c < g.ic; c += 16) {
      const __mmask16 mask = first_16(g.ic - c);
      __m512 sum = _mm512_setzero_ps();
      for (int64_t r = 0; r < taps.rows; ++r) {
        const float* pixel = taps.first + r * taps.row_step + c;
        for (int64_t k = 0; k < taps.columns; ++k, pixel += taps.column_step)
          sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(mask, pixel));
      }
      _mm512_mask_storeu_ps(y + c, mask, _mm512_div_ps(sum, count));
    }
  }
}

void global_average_u8(const uint8_t* x, int64_t pixels, int64_t c, int64_t pitch, int32_t x_zero_point,
                       float multiplier, int32_t y_zero_point, int32_t lo, int32_t hi, uint8_t* y) {
  const CodeRange512 range(y_zero_point, lo, hi);
  const __m512i start = _mm512_set1_epi32(static_cast<int32_t>(-x_zero_point * pixels));
  const Taps<uint8_t> taps = {x, 1, pixels, 0, pitch};
  for (int64_t k = 0; k < c; k += 64) {
    const __m512i codes = sum_of_taps(taps, x + k, start, 1).codes(range, _mm512_set1_ps(multiplier));
    _mm512_mask_storeu_epi8(y + k, first_64(c - k), codes);
  }
}

void global_average_u8_to_f32(const uint8_t* x, int64_t pixels, int64_t c, int64_t pitch, int32_t x_zero_point,
                              float multiplier, float* y) {
  const __m512i start = _mm512_set1_epi32(static_cast<int32_t>(-x_zero_point * pixels));
  const Taps<uint8_t> taps = {x, 1, pixels, 0, pitch};
  for (int64_t k = 0; k < c; k += 64)
    sum_of_taps(taps, x + k, start, 1).floats(_mm512_set1_ps(multiplier), y + k, c - k);
}

/// Four vectors of channels at a time: each is one chain of additions, in the order of the pixels.
void global_average_f32(const float* x, int64_t pixels, int64_t c, int64_t pitch, float* y) {
  const __m512 count = _mm512_set1_ps(static_cast<float>(pixels));
  for (int64_t k = 0; k < c; k += 64) {
    __m512 sum[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
    for (int64_t p = 0; p < pixels; ++p)
      for (int j = 0; j < 4; ++j)
        sum[j] = _mm512_add_ps(sum[j], _mm512_maskz_loadu_ps(first_16(c - k - 16 * j), x + p * pitch + k + 16 * j));
    for (int j = 0; j < 4; ++j)
      _mm512_mask_storeu_ps(y + k + 16 * j, first_16(c - k - 16 * j), _mm512_div_ps(sum[j], count));
  }
}

}  // namespace

const PoolKernels pool_avx512_vnni = {max_u8_row,
                                      max_f32_row,
                                      max_bf16_row,
                                      average_u8_row,
                                      average_u8_to_f32_row,
                                      average_f32_row,
                                      global_average_u8,
                                      global_average_u8_to_f32,
                                      global_average_f32,
                                      "avx512_vnni"};

}  // namespace octet
