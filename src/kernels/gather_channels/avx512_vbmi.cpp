// AVX-512 with VBMI: blocks of 64 bytes, of which one instruction takes any out of two windows.

#include <immintrin.h>

#include "kernels/gather_channels/gather_channels_isa.h"

namespace octet {
namespace {

constexpr int k_bytes = 64, k_most_pairs = k_bytes / 2;

/// Two windows, or one twice.
struct Pair {
  const uint8_t *a, *b;  // of the next pixel
  int64_t a_step, b_step;
  __m512i index;   // bit 6: of b
  __mmask64 mask;  // the bytes that come from here
};

Pair pair_of(const ChannelBlock& block, int32_t at, const ChannelInput* inputs) {
  const ChannelWindow& a = block.windows[at];
  const ChannelWindow& b = block.windows[at + 1 < block.count ? at + 1 : at];
  const __m512i from_a = _mm512_loadu_si512(a.index), from_b = _mm512_loadu_si512(b.index);
  const __mmask64 is_a = ~_mm512_movepi8_mask(from_a), is_b = ~_mm512_movepi8_mask(from_b);
  const ChannelInput &xa = inputs[a.input], &xb = inputs[b.input];
  return {xa.x + a.offset,
          xb.x + b.offset,
          xa.step,
          xb.step,
          _mm512_mask_blend_epi8(is_a, _mm512_or_si512(from_b, _mm512_set1_epi8(64)), from_a),
          is_a | is_b};
}

inline __attribute__((always_inline)) __m512i bytes_of(Pair& pair) {
  const __m512i bytes =
      _mm512_maskz_permutex2var_epi8(pair.mask, _mm512_loadu_si512(pair.a), pair.index, _mm512_loadu_si512(pair.b));
  pair.a += pair.a_step;
  pair.b += pair.b_step;
  return bytes;
}

void gather_block(const ChannelBlock& block, const ChannelInput* inputs, int64_t pixels, uint8_t* y, int64_t y_step) {
  Pair pairs[k_most_pairs];
  int n = 0;
  for (int32_t at = 0; at < block.count; at += 2) pairs[n++] = pair_of(block, at, inputs);
  const __mmask64 mask = ~__mmask64{0} >> (k_bytes - block.bytes);
  y += block.offset;
  if (n == 1) {
    Pair pair = pairs[0];
    for (int64_t p = 0; p < pixels; ++p, y += y_step) _mm512_mask_storeu_epi8(y, mask, bytes_of(pair));
    return;
  }
  for (int64_t p = 0; p < pixels; ++p, y += y_step) {
    __m512i bytes = bytes_of(pairs[0]);
    for (int i = 1; i < n; ++i) bytes = _mm512_or_si512(bytes, bytes_of(pairs[i]));
    _mm512_mask_storeu_epi8(y, mask, bytes);
  }
}

}  // namespace

const GatherChannelsKernel gather_channels_vbmi = {k_bytes, gather_block, "avx512_vbmi"};

}  // namespace octet
