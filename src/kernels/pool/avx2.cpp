// AVX2: 32 codes, 16 bfloat16 numbers or 8 floats of one output a step. Whole vectors are read (64 bytes behind the
// last pixel are readable, README); the last codes and bfloat16 numbers are stored through a copy, the last floats
// masked.

#include "kernels/pool/window.h"
#include "kernels/requantize_avx2.h"

namespace octet {
namespace {

void store_first(uint8_t* y, __m256i codes, int64_t n) {
  if (n >= 32) return store_codes(y, codes);
  uint8_t row[32];
  store_codes(row, codes);
  __builtin_memcpy(y, row, static_cast<size_t>(n));
}

void max_u8_row(const WindowGeometry& g, const uint8_t* x, int64_t oy, uint8_t* y) {
  const TapRange h = rows_inside(g, oy);
  for (int64_t ox = 0; ox < g.ow; ++ox, y += g.y_pitch) {
    const Taps<uint8_t> taps = taps_of(g, x, h, ox);
    for (int64_t c = 0; c < g.ic; c += 32) {
      __m256i m = _mm256_setzero_si256();
      for (int64_t r = 0; r < taps.rows; ++r) {
        const uint8_t* pixel = taps.first + r * taps.row_step + c;
        for (int64_t k = 0; k < taps.columns; ++k, pixel += taps.column_step) m = _mm256_max_epu8(m, load_codes(pixel));
      }
      store_first(y + c, m, g.ic - c);
    }
  }
}

/// max(v, m) returns m when v is NaN or equal: v > m ? v : m.
void max_f32_row(const WindowGeometry& g, const float* x, int64_t oy, float* y) {
  const TapRange h = rows_inside(g, oy);
  for (int64_t ox = 0; ox < g.ow; ++ox, y += g.y_pitch) {
    const Taps<float> taps = taps_of(g, x, h, ox);
    for (int64_t c = 0; c < g.ic; c += 8) {
      __m256 m = _mm256_set1_ps(-__builtin_inff());
      for (int64_t r = 0; r < taps.rows; ++r) {
        const float* pixel = taps.first + r * taps.row_step + c;
        for (int64_t k = 0; k < taps.columns; ++k, pixel += taps.column_step)
          m = _mm256_max_ps(_mm256_loadu_ps(pixel), m);
      }
      _mm256_maskstore_ps(y + c, first_8(g.ic - c), m);
    }
  }
}

/// As floats, those of even channels and those of odd ones, with zeros in their low halves.
void max_bf16_row(const WindowGeometry& g, const uint16_t* x, int64_t oy, uint16_t* y) {
  const __m256i high = _mm256_set1_epi32(static_cast<int>(0xffff0000));
  const TapRange h = rows_inside(g, oy);
  for (int64_t ox = 0; ox < g.ow; ++ox, y += g.y_pitch) {
    const Taps<uint16_t> taps = taps_of(g, x, h, ox);
    for (int64_t c = 0; c < g.ic; c += 16) {
      __m256 even = _mm256_set1_ps(-__builtin_inff()), odd = even;
      for (int64_t r = 0; r < taps.rows; ++r) {
        const uint16_t* pixel = taps.first + r * taps.row_step + c;
        for (int64_t k = 0; k < taps.columns; ++k, pixel += taps.column_step) {
          const __m256i both = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(pixel));
          even = _mm256_max_ps(_mm256_castsi256_ps(_mm256_slli_epi32(both, 16)), even);
          odd = _mm256_max_ps(_mm256_castsi256_ps(_mm256_and_si256(both, high)), odd);
        }
      }
      const __m256i low = _mm256_srli_epi32(_mm256_castps_si256(even), 16);
      store_first(reinterpret_cast<uint8_t*>(y + c), _mm256_or_si256(low, _mm256_castps_si256(odd)), 2 * (g.ic - c));
    }
  }
}

// Sums of up to 257 codes fit 16 bits.
constexpr int64_t k_word_pixels = 256;

/// Sums of 32 channels: codes are added in two vectors of words, which go into dwords in time. Those lie as pack()
/// wants them.
struct Sums256 {
  __m256i v[4], lo, hi;
  explicit Sums256(__m256i start) : v{start, start, start, start}, lo(_mm256_setzero_si256()), hi(lo) {}
  void add(__m256i codes) {
    const __m256i zero = _mm256_setzero_si256();
    lo = _mm256_add_epi16(lo, _mm256_unpacklo_epi8(codes, zero));
    hi = _mm256_add_epi16(hi, _mm256_unpackhi_epi8(codes, zero));
  }
  void widen() {
    const __m256i zero = _mm256_setzero_si256();
    v[0] = _mm256_add_epi32(v[0], _mm256_unpacklo_epi16(lo, zero));
    v[1] = _mm256_add_epi32(v[1], _mm256_unpackhi_epi16(lo, zero));
    v[2] = _mm256_add_epi32(v[2], _mm256_unpacklo_epi16(hi, zero));
    v[3] = _mm256_add_epi32(v[3], _mm256_unpackhi_epi16(hi, zero));
    lo = hi = zero;
  }
  __m256i codes(const CodeRange256& range, __m256 multiplier) const {
    __m256i q[4];
    for (int j = 0; j < 4; ++j) q[j] = range.round(_mm256_mul_ps(_mm256_cvtepi32_ps(v[j]), multiplier));
    return range.pack(q[0], q[1], q[2], q[3]);
  }
  /// The first n channels in their order; lane l of v[j] holds four from 16 l + 4 j on.
  void floats(__m256 multiplier, float* y, int64_t n) const {
    float all[32];
    for (int j = 0; j < 4; ++j) {
      float lanes[8];
      _mm256_storeu_ps(lanes, _mm256_mul_ps(_mm256_cvtepi32_ps(v[j]), multiplier));
      for (int l = 0; l < 2; ++l) __builtin_memcpy(all + 16 * l + 4 * j, lanes + 4 * l, 4 * sizeof(float));
    }
    __builtin_memcpy(y, all, sizeof(float) * static_cast<size_t>(n < 32 ? n : 32));
  }
};

/// The sum over one window of 32 channels that begin at `first`. rows: as many rows of taps as fit words.
Sums256 sum_of_taps(const Taps<uint8_t>& taps, const uint8_t* first, __m256i start, int64_t rows) {
  Sums256 sums(start);
  for (int64_t r = 0; r < taps.rows; r += rows)
    for (int64_t k = 0; k < taps.columns; k += k_word_pixels) {
      const int64_t row_end = r + rows < taps.rows ? r + rows : taps.rows;
      const int64_t columns = taps.columns - k < k_word_pixels ? taps.columns - k : k_word_pixels;
      for (int64_t row = r; row < row_end; ++row) {
        const uint8_t* pixel = first + row * taps.row_step + k * taps.column_step;
        for (int64_t i = 0; i < columns; ++i, pixel += taps.column_step) sums.add(load_codes(pixel));
      }
      sums.widen();
    }
  return sums;
}

/// 32 channels a step, or the last 8 in dwords.
void average_u8_row(const WindowGeometry& g, const AveragePoolU8Params& p, const uint8_t* x, int64_t oy, uint8_t* y) {
  const CodeRange256 range(p.y_zero_point, p.lo, p.hi);
  const __m256i zero = _mm256_setzero_si256();
  const int64_t rows = g.kw < k_word_pixels ? k_word_pixels / g.kw : 1;
  const TapRange h = rows_inside(g, oy);
  int64_t known = -1;  // as many taps as multiplier and start are for
  __m256 multiplier = _mm256_setzero_ps();
  __m256i start = zero;
  for (int64_t ox = 0; ox < g.ow; ++ox, y += g.y_pitch) {
    const Taps<uint8_t> taps = taps_of(g, x, h, ox);
    if (taps.count() != known) {
      known = taps.count();
      const double count = static_cast<double>(divisor(g, p.count_include_pad, known));
      multiplier = _mm256_set1_ps(static_cast<float>(p.x_scale / (p.y_scale * count)));
      start = _mm256_set1_epi32(static_cast<int32_t>(-p.x_zero_point * known));
    }
    int64_t c = 0;
    for (; g.ic - c > 8; c += 32) {
      const __m256i codes = sum_of_taps(taps, taps.first + c, start, rows).codes(range, multiplier);
      store_first(y + c, codes, g.ic - c);
    }
    if (c < g.ic) {
      __m256i sum = start;
      for (int64_t r = 0; r < taps.rows; ++r) {
        const uint8_t* pixel = taps.first + r * taps.row_step + c;
        for (int64_t k = 0; k < taps.columns; ++k, pixel += taps.column_step)
          sum = _mm256_add_epi32(sum, _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(pixel))));
      }
      const __m256i q = range.round(_mm256_mul_ps(_mm256_cvtepi32_ps(sum), multiplier));
      store_first(y + c, natural_order(range.pack(q, zero, zero, zero)), g.ic - c);
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
    const __m256 multiplier = _mm256_set1_ps(static_cast<float>(p.x_scale / count));
    const __m256i start = _mm256_set1_epi32(static_cast<int32_t>(-p.x_zero_point * taps.count()));
    for (int64_t c = 0; c < g.ic; c += 32)
      sum_of_taps(taps, taps.first + c, start, rows).floats(multiplier, y + c, g.ic - c);
  }
}

void average_f32_row(const WindowGeometry& g, bool count_include_pad, const float* x, int64_t oy, float* y) {
  const TapRange h = rows_inside(g, oy);
  for (int64_t ox = 0; ox < g.ow; ++ox, y += g.y_pitch) {
    const Taps<float> taps = taps_of(g, x, h, ox);
    const __m256 count = _mm256_set1_ps(static_cast<float>(divisor(g, count_include_pad, taps.count())));
    for (int64_t c = 0; c < g.ic; c += 8) {
      __m256 sum = _mm256_setzero_ps();
      for (int64_t r = 0; r < taps.rows; ++r) {
        const float* pixel = taps.first + r * taps.row_step + c;
        for (int64_t k = 0; k < taps.columns; ++k, pixel += taps.column_step)
          sum = _mm256_add_ps(sum, _mm256_loadu_ps(pixel));
      }
      _mm256_maskstore_ps(y + c, first_8(g.ic - c), _mm256_div_ps(sum, count));
    }
  }
}

void global_average_u8(const uint8_t* x, int64_t pixels, int64_t c, int64_t pitch, int32_t x_zero_point,
                       float multiplier, int32_t y_zero_point, int32_t lo, int32_t hi, uint8_t* y) {
  const CodeRange256 range(y_zero_point, lo, hi);
  const __m256i start = _mm256_set1_epi32(static_cast<int32_t>(-x_zero_point * pixels));
  const Taps<uint8_t> taps = {x, 1, pixels, 0, pitch};
  for (int64_t k = 0; k < c; k += 32) {
    const __m256i codes = sum_of_taps(taps, x + k, start, 1).codes(range, _mm256_set1_ps(multiplier));
    store_first(y + k, codes, c - k);
  }
}

void global_average_u8_to_f32(const uint8_t* x, int64_t pixels, int64_t c, int64_t pitch, int32_t x_zero_point,
                              float multiplier, float* y) {
  const __m256i start = _mm256_set1_epi32(static_cast<int32_t>(-x_zero_point * pixels));
  const Taps<uint8_t> taps = {x, 1, pixels, 0, pitch};
  for (int64_t k = 0; k < c; k += 32)
    sum_of_taps(taps, x + k, start, 1).floats(_mm256_set1_ps(multiplier), y + k, c - k);
}

/// Four vectors of channels at a time: each is one chain of additions, in the order of the pixels.
void global_average_f32(const float* x, int64_t pixels, int64_t c, int64_t pitch, float* y) {
  const __m256 count = _mm256_set1_ps(static_cast<float>(pixels));
  for (int64_t k = 0; k < c; k += 32) {
    __m256 sum[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
    __m256i mask[4];
    for (int j = 0; j < 4; ++j) mask[j] = first_8(c - k - 8 * j);
    for (int64_t p = 0; p < pixels; ++p)
      for (int j = 0; j < 4; ++j)
        sum[j] = _mm256_add_ps(sum[j], _mm256_maskload_ps(x + p * pitch + k + 8 * j, mask[j]));
    for (int j = 0; j < 4; ++j) _mm256_maskstore_ps(y + k + 8 * j, mask[j], _mm256_div_ps(sum[j], count));
  }
}

}  // namespace

const PoolKernels pool_avx2 = {max_u8_row,
                               max_f32_row,
                               max_bf16_row,
                               average_u8_row,
                               average_u8_to_f32_row,
                               average_f32_row,
                               global_average_u8,
                               global_average_u8_to_f32,
                               global_average_f32,
                               "avx2"};

}  // namespace octet
