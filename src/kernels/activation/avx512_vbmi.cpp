// AVX-512 with VBMI: codes of values by tables of steps. A table of 256 bytes is two lookups of 128.

#include <immintrin.h>

#include "kernels/activation/activation_isa.h"

namespace octet {
namespace {

struct Table {
  __m512i a, b, c, d;
  explicit Table(const uint8_t* t)
      : a(_mm512_load_si512(t)),
        b(_mm512_load_si512(t + 64)),
        c(_mm512_load_si512(t + 128)),
        d(_mm512_load_si512(t + 192)) {}
  __m512i operator()(__m512i index, __mmask64 upper) const {
    return _mm512_mask_blend_epi8(upper, _mm512_permutex2var_epi8(a, index, b), _mm512_permutex2var_epi8(c, index, d));
  }
};

/// Where packs put the bytes of 64 words: value 16 j + 4 l + i is word 8 l + 4 (j & 1) + i of its pair of vectors.
struct Order {
  alignas(64) uint8_t low[64];
  alignas(64) uint8_t high[64];
};
constexpr Order order() {
  Order o = {};
  for (int value = 0; value < 64; ++value) {
    const int j = value / 16, l = value % 16 / 4, i = value % 4;
    const int byte = 2 * (8 * l + 4 * (j % 2) + i) + 64 * (j / 2);
    o.low[value] = static_cast<uint8_t>(byte);
    o.high[value] = static_cast<uint8_t>(byte + 1);
  }
  return o;
}
constexpr Order k_order = order();

template <int slots>
void codes(const CodeSteps& steps, const float* v, size_t groups, uint8_t* q, uint64_t* unsure) {
  // In registers: a store of codes might be one to the tables, for all that the compiler knows.
  const __m512 scale = _mm512_set1_ps(steps.scale), offset = _mm512_set1_ps(steps.offset);
  const __m512 most = _mm512_set1_ps(65535.0f);
  const __m512i low_bytes = _mm512_load_si512(k_order.low), high_bytes = _mm512_load_si512(k_order.high);
  const __m512i first_rising = _mm512_set1_epi8(static_cast<char>(steps.first_rising));
  const __m512i one = _mm512_set1_epi8(1), none = _mm512_set1_epi8(-1);
  const Table base(steps.base), place_0(steps.place[0]), place_1(steps.place[slots > 1 ? 1 : 0]);
  for (size_t g = 0; g < groups; ++g) {
    __m512i w[4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const __m512 f = _mm512_fmadd_ps(_mm512_loadu_ps(v + 64 * g + 16 * static_cast<size_t>(j)), scale, offset);
      w[j] = _mm512_cvtps_epi32(_mm512_min_ps(f, most));
    }
    const __m512i first = _mm512_packus_epi32(w[0], w[1]), second = _mm512_packus_epi32(w[2], w[3]);
    const __m512i place = _mm512_permutex2var_epi8(first, low_bytes, second);
    const __m512i cell = _mm512_permutex2var_epi8(first, high_bytes, second);
    const __mmask64 upper = _mm512_movepi8_mask(cell);
    __m512i code = base(cell, upper);
    const __mmask64 rising = _mm512_cmpge_epu8_mask(cell, first_rising);
    const __m512i change = _mm512_mask_blend_epi8(rising, none, one);
    __mmask64 here = 0;
    const auto take = [&](__m512i at) __attribute__((always_inline)) {
      code = _mm512_mask_add_epi8(code, _mm512_cmpgt_epu8_mask(place, at), code, change);
      here |= _mm512_cmpeq_epi8_mask(place, at);
    };
    take(place_0(cell, upper));
    if constexpr (slots > 1) take(place_1(cell, upper));
    if constexpr (slots > 2) take(Table(steps.place[2])(cell, upper));
    if constexpr (slots > 3) take(Table(steps.place[3])(cell, upper));
    _mm512_storeu_si512(q + 64 * g, code);
    unsure[g] = _mm512_mask_cmpneq_epi8_mask(here, place, none);
  }
}

}  // namespace

void codes_of_steps_vbmi(const CodeSteps& steps, const float* v, size_t groups, uint8_t* q, uint64_t* unsure) {
  switch (steps.slots) {
    case 1: return codes<1>(steps, v, groups, q, unsure);
    case 2: return codes<2>(steps, v, groups, q, unsure);
    case 3: return codes<3>(steps, v, groups, q, unsure);
    default: return codes<4>(steps, v, groups, q, unsure);
  }
}

}  // namespace octet
