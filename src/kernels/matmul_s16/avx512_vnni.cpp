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

const MatMulS16Kernels matmul_s16_avx512_vnni = {panels,    centre_row,    centre_pair,
                                                 scale_row, quantize_rows, "matmul_s16 avx512_vnni"};

}  // namespace octet
