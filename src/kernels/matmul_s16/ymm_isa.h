#pragma once
// Two s16 products and a sum per lane on 256-bit registers: 8 columns a register, 4 rows at a time. add_products is the
// ISA's way: sums + a * b in pairs. For one ISA file only: everything is in an unnamed namespace.
#include <immintrin.h>

#include "kernels/matmul_s16/matmul_s16_isa.h"
#include "kernels/requantize_avx2.h"

namespace octet {
namespace {

constexpr int64_t k_panel = 16;

int32_t pair_at(const int16_t* a) {
  int32_t pair;
  __builtin_memcpy(&pair, a, sizeof pair);
  return pair;
}

template <auto add_products, int rows>
void tile(const int16_t* a, const int16_t* b, int64_t pairs, int32_t* sums, int64_t pitch) {
  __m256i low[rows], high[rows];
  for (int r = 0; r < rows; ++r) low[r] = high[r] = _mm256_setzero_si256();
  for (int64_t p = 0; p < pairs; ++p) {
    const __m256i b0 = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b + p * k_panel * 2));
    const __m256i b1 = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b + p * k_panel * 2 + k_panel));
    for (int r = 0; r < rows; ++r) {
      const __m256i pair = _mm256_set1_epi32(pair_at(a + (r * pairs + p) * 2));
      low[r] = add_products(low[r], pair, b0);
      high[r] = add_products(high[r], pair, b1);
    }
  }
  for (int r = 0; r < rows; ++r) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + r * pitch), low[r]);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + r * pitch + k_panel / 2), high[r]);
  }
}

template <auto add_products>
void panel(const int16_t* a, const int16_t* b, int64_t pairs, int64_t rows, int32_t* sums, int64_t pitch) {
  int64_t m = 0;
  for (; m + 4 <= rows; m += 4) tile<add_products, 4>(a + m * pairs * 2, b, pairs, sums + m * pitch, pitch);
  for (; m < rows; ++m) tile<add_products, 1>(a + m * pairs * 2, b, pairs, sums + m * pitch, pitch);
}

template <auto add_products>
void panels(const int16_t* a, const int16_t* b, int64_t pairs, int64_t rows, int64_t count, int32_t* sums,
            int64_t pitch) {
  for (int64_t i = 0; i < count; ++i)
    panel<add_products>(a, b + i * k_panel * 2 * pairs, pairs, rows, sums + i * k_panel, pitch);
}

/// The first `count` of 32 values: rows are read in whole vectors of 8, up to their pitch.
inline __m256i codes_of_sums(const int32_t* sums, int64_t count, __m256 multiplier, const CodeRange256& range) {
  __m256i q[4];
  for (int v = 0; v < 4; ++v)
    q[v] =
        8 * v < count
            ? range.round(_mm256_mul_ps(
                  _mm256_cvtepi32_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(sums + 8 * v))), multiplier))
            : _mm256_setzero_si256();
  return natural_order(range.pack(q[0], q[1], q[2], q[3]));
}

void quantize_rows(const int32_t* sums, int64_t rows, int64_t n, int64_t pitch, const SumsToCodes& to, uint8_t* y,
                   int64_t y_step) {
  const CodeRange256 range(to.zero_point, to.lo, to.hi);
  const __m256 multiplier = _mm256_set1_ps(to.multiplier);
  for (int64_t m = 0; m < rows; ++m, sums += pitch, y += y_step)
    for (int64_t j = 0; j < n; j += 32) {
      const __m256i codes = codes_of_sums(sums + j, n - j, multiplier, range);
      if (n - j >= 32) {
        store_codes(y + j, codes);
      } else {
        uint8_t last[32];
        store_codes(last, codes);
        __builtin_memcpy(y + j, last, static_cast<size_t>(n - j));
      }
    }
}

}  // namespace
}  // namespace octet
