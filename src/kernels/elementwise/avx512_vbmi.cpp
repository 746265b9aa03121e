// AVX-512 with VBMI: a table of 256 codes is two lookups of 128.

#include <immintrin.h>

#include "kernels/elementwise/elementwise_isa.h"

namespace octet {
namespace {

struct Table {
  __m512i t[4];
  explicit Table(const uint8_t* table)
      : t{_mm512_loadu_si512(table), _mm512_loadu_si512(table + 64), _mm512_loadu_si512(table + 128),
          _mm512_loadu_si512(table + 192)} {}
  __m512i operator()(__m512i x) const {
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(x), _mm512_permutex2var_epi8(t[0], x, t[1]),
                                  _mm512_permutex2var_epi8(t[2], x, t[3]));
  }
};

void look_up(const Table& table, const uint8_t* x, size_t n, uint8_t* y) {
  size_t i = 0;
  for (; i + 64 <= n; i += 64) _mm512_storeu_si512(y + i, table(_mm512_loadu_si512(x + i)));
  if (i == n) return;
  const __mmask64 mask = (__mmask64{1} << (n - i)) - 1;
  _mm512_mask_storeu_epi8(y + i, mask, table(_mm512_maskz_loadu_epi8(mask, x + i)));
}

const __m256i* half(const uint8_t* p) { return reinterpret_cast<const __m256i*>(p); }
__m256i* half(uint8_t* p) { return reinterpret_cast<__m256i*>(p); }

}  // namespace

void lookup_u8_vbmi(const uint8_t* x, size_t n, const uint8_t* table, uint8_t* y) { look_up(Table(table), x, n, y); }

void lookup_rows_u8_vbmi(const CodeRows& rows, const uint8_t* table) {
  const Table look_up_64(table);
  const uint8_t* x = rows.x;
  uint8_t* y = rows.y;
  int64_t row = 0;
  if (rows.n == 32)  // two rows fill a vector
    for (; row + 2 <= rows.rows; row += 2, x += 2 * rows.x_step, y += 2 * rows.y_step) {
      const __m512i first = _mm512_castsi256_si512(_mm256_loadu_si256(half(x)));
      const __m512i codes = look_up_64(_mm512_inserti64x4(first, _mm256_loadu_si256(half(x + rows.x_step)), 1));
      _mm256_storeu_si256(half(y), _mm512_castsi512_si256(codes));
      _mm256_storeu_si256(half(y + rows.y_step), _mm512_extracti64x4_epi64(codes, 1));
    }
  for (; row < rows.rows; ++row, x += rows.x_step, y += rows.y_step)
    look_up(look_up_64, x, static_cast<size_t>(rows.n), y);
}

}  // namespace octet
