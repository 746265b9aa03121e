#pragma once
// 64 bytes through a table of 256, for the AVX-512 files of several families. In an unnamed namespace: each file has
// its own copy, compiled with its own flags.

#include <immintrin.h>
#include <stdint.h>

namespace octet {
namespace {

/// The table as 128 words in four registers: word x >> 1 by vpermi2w (bit 7 of x selects the pair of registers), then
/// its low or high byte by bit 0. Even bytes of x are looked up in place, odd bytes likewise, both in 16-bit lanes.
struct Table512 {
  __m512i t[4];
  explicit Table512(const uint8_t* table)
      : t{_mm512_loadu_si512(table), _mm512_loadu_si512(table + 64), _mm512_loadu_si512(table + 128),
          _mm512_loadu_si512(table + 192)} {}

  __m512i operator()(__m512i x) const {
    const __m512i even_index = _mm512_srli_epi16(x, 1), odd_index = _mm512_srli_epi16(x, 9);
    const __mmask32 even_high = _mm512_test_epi16_mask(x, _mm512_set1_epi16(0x80));
    const __mmask32 odd_high = _mm512_movepi16_mask(x);
    const __m512i even = _mm512_mask_blend_epi16(even_high, _mm512_permutex2var_epi16(t[0], even_index, t[1]),
                                                 _mm512_permutex2var_epi16(t[2], even_index, t[3]));
    const __m512i odd = _mm512_mask_blend_epi16(odd_high, _mm512_permutex2var_epi16(t[0], odd_index, t[1]),
                                                _mm512_permutex2var_epi16(t[2], odd_index, t[3]));
    const __mmask32 even_bit = _mm512_test_epi16_mask(x, _mm512_set1_epi16(1));
    const __mmask32 odd_clear = _mm512_testn_epi16_mask(x, _mm512_set1_epi16(0x100));
    const __m512i low = _mm512_mask_srli_epi16(even, even_bit, even, 8);
    const __m512i high = _mm512_mask_slli_epi16(odd, odd_clear, odd, 8);
    return _mm512_mask_blend_epi8(0xaaaaaaaaaaaaaaaaull, low, high);
  }
};

}  // namespace
}  // namespace octet
