// AVX-512 with VBMI: a table of 256 codes is two lookups of 128.

#include <immintrin.h>

#include "kernels/elementwise/elementwise_isa.h"

namespace octet {

void lookup_u8_vbmi(const uint8_t* x, size_t n, const uint8_t* table, uint8_t* y) {
  const __m512i a = _mm512_loadu_si512(table), b = _mm512_loadu_si512(table + 64);
  const __m512i c = _mm512_loadu_si512(table + 128), d = _mm512_loadu_si512(table + 192);
  const auto look_up = [&](__m512i v) __attribute__((always_inline)) {
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(v), _mm512_permutex2var_epi8(a, v, b),
                                  _mm512_permutex2var_epi8(c, v, d));
  };
  size_t i = 0;
  for (; i + 64 <= n; i += 64) _mm512_storeu_si512(y + i, look_up(_mm512_loadu_si512(x + i)));
  if (i == n) return;
  const __mmask64 mask = (__mmask64{1} << (n - i)) - 1;
  _mm512_mask_storeu_epi8(y + i, mask, look_up(_mm512_maskz_loadu_epi8(mask, x + i)));
}

}  // namespace octet
