// vpdpwssd adds two s16 products to an s32 sum: 16 columns a register, 8 rows at a time.
#include <immintrin.h>

#include "kernels/matmul_s16/matmul_s16_isa.h"
#include "kernels/matmul_s16/rows_isa.h"
#include "kernels/requantize_avx512.h"

namespace octet {
namespace {

constexpr int64_t k_panel = 16;

int32_t pair_at(const int16_t* a) {
  int32_t pair;
  __builtin_memcpy(&pair, a, sizeof pair);
  return pair;
}

/// Two panels at a time: one load of a row's pair serves both, and there are fewer loads than products.
template <int rows, int count>
void tile(const int16_t* a, const int16_t* b, int64_t pairs, int32_t* sums, int64_t pitch) {
  __m512i acc[rows][count];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (int i = 0; i < count; ++i) acc[r][i] = _mm512_setzero_si512();
  for (int64_t p = 0; p < pairs; ++p) {
    __m512i column[count];
#pragma GCC unroll 2
    for (int i = 0; i < count; ++i) column[i] = _mm512_loadu_si512(b + (i * pairs + p) * k_panel * 2);
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      const __m512i pair = _mm512_set1_epi32(pair_at(a + (r * pairs + p) * 2));
#pragma GCC unroll 2
      for (int i = 0; i < count; ++i) acc[r][i] = _mm512_dpwssd_epi32(acc[r][i], pair, column[i]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (int i = 0; i < count; ++i) _mm512_storeu_si512(sums + r * pitch + i * k_panel, acc[r][i]);
}

template <int count>
void some_panels(const int16_t* a, const int16_t* b, int64_t pairs, int64_t rows, int32_t* sums, int64_t pitch) {
  int64_t m = 0;
  for (; m + 8 <= rows; m += 8) tile<8, count>(a + m * pairs * 2, b, pairs, sums + m * pitch, pitch);
  for (; m < rows; ++m) tile<1, count>(a + m * pairs * 2, b, pairs, sums + m * pitch, pitch);
}

void panels(const int16_t* a, const int16_t* b, int64_t pairs, int64_t rows, int64_t count, int32_t* sums,
            int64_t pitch) {
  for (; count >= 2; count -= 2, b += 4 * k_panel * pairs, sums += 2 * k_panel)
    some_panels<2>(a, b, pairs, rows, sums, pitch);
  if (count > 0) some_panels<1>(a, b, pairs, rows, sums, pitch);
}

/// Four rows of 16 codes to dwords of four, s8.
void pack_quads(const uint8_t* from, int64_t row_step, int64_t quads, int8_t* to) {
  const __m512i sign = _mm512_set1_epi8(-128);
  for (int64_t q = 0; q < quads; ++q, from += 4 * row_step, to += 4 * k_panel) {
    __m128i r[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) r[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i * row_step));
    const __m128i low_01 = _mm_unpacklo_epi8(r[0], r[1]), high_01 = _mm_unpackhi_epi8(r[0], r[1]);
    const __m128i low_23 = _mm_unpacklo_epi8(r[2], r[3]), high_23 = _mm_unpackhi_epi8(r[2], r[3]);
    const __m256i low = _mm256_set_m128i(_mm_unpackhi_epi16(low_01, low_23), _mm_unpacklo_epi16(low_01, low_23));
    const __m256i high = _mm256_set_m128i(_mm_unpackhi_epi16(high_01, high_23), _mm_unpacklo_epi16(high_01, high_23));
    _mm512_storeu_si512(to, _mm512_xor_si512(_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1), sign));
  }
}

/// Dword i of row j becomes dword j of row i.
inline void transpose_8x8(__m256i (&v)[8]) {
  __m256i pairs[8], fours[8];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    pairs[2 * i] = _mm256_unpacklo_epi32(v[2 * i], v[2 * i + 1]);
    pairs[2 * i + 1] = _mm256_unpackhi_epi32(v[2 * i], v[2 * i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    fours[4 * i] = _mm256_unpacklo_epi64(pairs[4 * i], pairs[4 * i + 2]);
    fours[4 * i + 1] = _mm256_unpackhi_epi64(pairs[4 * i], pairs[4 * i + 2]);
    fours[4 * i + 2] = _mm256_unpacklo_epi64(pairs[4 * i + 1], pairs[4 * i + 3]);
    fours[4 * i + 3] = _mm256_unpackhi_epi64(pairs[4 * i + 1], pairs[4 * i + 3]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    v[i] = _mm256_permute2x128_si256(fours[i], fours[i + 4], 0x20);
    v[i + 4] = _mm256_permute2x128_si256(fours[i], fours[i + 4], 0x31);
  }
}

void pack_quad_columns(const uint8_t* from, int64_t column_step, int64_t quads, int8_t* to) {
  const __m256i sign = _mm256_set1_epi8(-128);
  int64_t first = 0;
  for (; first + 8 <= quads; first += 8)
    for (int64_t half = 0; half < 2; ++half) {
      __m256i v[8];
      const uint8_t* const x = from + 8 * half * column_step + 4 * first;
#pragma GCC unroll 8
      for (int j = 0; j < 8; ++j)
        v[j] = _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + j * column_step)), sign);
      transpose_8x8(v);
#pragma GCC unroll 8
      for (int q = 0; q < 8; ++q)
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + ((first + q) * k_panel + 8 * half) * 4), v[q]);
    }
  for (int64_t j = 0; j < k_panel; ++j)
    for (int64_t q = first; q < quads; ++q)
      for (int64_t i = 0; i < 4; ++i)
        to[(q * k_panel + j) * 4 + i] = static_cast<int8_t>(from[j * column_step + 4 * q + i] - 128);
}

int32_t quad_at(const uint8_t* a) {
  int32_t quad;
  __builtin_memcpy(&quad, a, sizeof quad);
  return quad;
}

/// Sum of a row's codes.
int32_t row_sum(const uint8_t* a, int64_t n) {
  __m512i sums = _mm512_setzero_si512();
  for (int64_t k = 0; k < n; k += 64)
    sums = _mm512_add_epi64(sums,
                            _mm512_sad_epu8(_mm512_maskz_loadu_epi8(first_64(n - k), a + k), _mm512_setzero_si512()));
  return static_cast<int32_t>(_mm512_reduce_add_epi64(sums));
}

/// sum (a - za) (b' + o) = sum a b' + o sum a - za (sum b' + k o), b' = b - 128 and o = 128 - zb.
template <int rows, int count>
void quad_tile(const QuadProduct& p, const uint8_t* a, const int8_t* b, const int32_t* row_terms,
               const __m512i (&column_terms)[2], int32_t* sums) {
  __m512i acc[rows][count];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (int i = 0; i < count; ++i) acc[r][i] = _mm512_add_epi32(column_terms[i], _mm512_set1_epi32(row_terms[r]));
  for (int64_t q = 0; q < p.quads; ++q) {
    __m512i column[count];
#pragma GCC unroll 2
    for (int i = 0; i < count; ++i) column[i] = _mm512_loadu_si512(b + (i * p.quads + q) * k_panel * 4);
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      const __m512i quad = _mm512_set1_epi32(quad_at(a + r * p.a_step + 4 * q));
#pragma GCC unroll 2
      for (int i = 0; i < count; ++i) acc[r][i] = _mm512_dpbusd_epi32(acc[r][i], quad, column[i]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (int i = 0; i < count; ++i) _mm512_storeu_si512(sums + r * p.pitch + i * k_panel, acc[r][i]);
}

/// -za (sum b' + k o) of a panel's columns.
__m512i column_term(const QuadProduct& p, const int8_t* b) {
  // All modulo 2^32, as the sums are: a plan may claim any k.
  const auto off = static_cast<uint32_t>(128 - p.b_zero_point);
  __m512i sums = _mm512_set1_epi32(static_cast<int32_t>(static_cast<uint32_t>(4 * p.quads) * off));
  for (int64_t q = 0; q < p.quads; ++q)
    sums = _mm512_dpbusd_epi32(sums, _mm512_set1_epi8(1), _mm512_loadu_si512(b + q * k_panel * 4));
  return _mm512_mullo_epi32(sums, _mm512_set1_epi32(-p.a_zero_point));
}

template <int count>
void quad_panels(const QuadProduct& p, const int8_t* b, int32_t* sums) {
  __m512i terms[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
  for (int i = 0; i < count && p.a_zero_point != 0; ++i) terms[i] = column_term(p, b + i * p.quads * k_panel * 4);
  const auto off = static_cast<uint32_t>(128 - p.b_zero_point);
  for (int64_t m = 0; m < p.rows;) {
    const uint8_t* const a = p.a + m * p.a_step;
    const int64_t rows = p.rows - m >= 8 ? 8 : 1;
    int32_t row_terms[8] = {};
    for (int64_t r = 0; r < rows && off != 0; ++r)
      row_terms[r] = static_cast<int32_t>(off * static_cast<uint32_t>(row_sum(a + r * p.a_step, 4 * p.quads)));
    if (rows == 8)
      quad_tile<8, count>(p, a, b, row_terms, terms, sums + m * p.pitch);
    else
      quad_tile<1, count>(p, a, b, row_terms, terms, sums + m * p.pitch);
    m += rows;
  }
}

void multiply_quads(const QuadProduct& p) {
  int64_t panel = 0;
  for (; panel + 2 <= p.panels; panel += 2)
    quad_panels<2>(p, p.b + panel * p.quads * k_panel * 4, p.sums + panel * k_panel);
  if (panel < p.panels) quad_panels<1>(p, p.b + panel * p.quads * k_panel * 4, p.sums + panel * k_panel);
}

/// The first `count` of 64 values: rows are read in whole vectors of 16, up to their pitch.
inline __m512i codes_of_sums(const int32_t* sums, int64_t count, __m512 multiplier, const CodeRange512& range) {
  __m512i q[4];
  for (int v = 0; v < 4; ++v)
    q[v] = 16 * v < count
               ? range.round(_mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_loadu_si512(sums + 16 * v)), multiplier))
               : _mm512_setzero_si512();
  return natural_order(range.pack(q[0], q[1], q[2], q[3]));
}

void quantize_rows(const int32_t* sums, int64_t rows, int64_t n, int64_t pitch, const SumsToCodes& to, uint8_t* y,
                   int64_t y_step) {
  const CodeRange512 range(to.zero_point, to.lo, to.hi);
  const __m512 multiplier = _mm512_set1_ps(to.multiplier);
  for (int64_t m = 0; m < rows; ++m, sums += pitch, y += y_step)
    for (int64_t j = 0; j < n; j += 64)
      _mm512_mask_storeu_epi8(y + j, first_64(n - j), codes_of_sums(sums + j, n - j, multiplier, range));
}

}  // namespace

const MatMulS16Kernels matmul_s16_avx512_vnni = {panels,
                                                 centre_row,
                                                 centre_pair,
                                                 scale_row,
                                                 quantize_rows,
                                                 pack_quads,
                                                 pack_quad_columns,
                                                 multiply_quads,
                                                 "matmul_s16 avx512_vnni"};

}  // namespace octet
