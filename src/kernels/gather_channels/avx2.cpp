// Blocks of 16 bytes, of two pixels at a time: vpshufb gives zeros for bytes of other windows, and these meet by or.

#include <immintrin.h>

#include "kernels/gather_channels/gather_channels_isa.h"

namespace octet {
namespace {

constexpr int k_bytes = 16;

__m128i load(const uint8_t* x) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(x)); }
void store(uint8_t* y, __m128i v) { _mm_storeu_si128(reinterpret_cast<__m128i*>(y), v); }

/// Blocks of N windows, whose indices stay in registers.
template <int N>
void gather_few(const ChannelBlock& block, const ChannelInput* inputs, int64_t pixels, uint8_t* y, int64_t y_step) {
  const uint8_t* x[N];
  int64_t step[N];
  __m256i index[N];
  for (int w = 0; w < N; ++w) {
    const ChannelWindow& window = block.windows[w];
    step[w] = inputs[window.input].step;
    x[w] = inputs[window.input].x + window.offset;
    index[w] = _mm256_broadcastsi128_si256(load(window.index));
  }
  y += block.offset;
  int64_t p = 0;
  for (; p + 2 <= pixels; p += 2, y += 2 * y_step) {
    __m256i codes = _mm256_setzero_si256();
#pragma GCC unroll 4
    for (int w = 0; w < N; ++w) {
      const __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(load(x[w])), load(x[w] + step[w]), 1);
      const __m256i part = _mm256_shuffle_epi8(both, index[w]);
      codes = w == 0 ? part : _mm256_or_si256(codes, part);
      x[w] += 2 * step[w];
    }
    store(y, _mm256_castsi256_si128(codes));
    store(y + y_step, _mm256_extracti128_si256(codes, 1));
  }
  if (p == pixels) return;
  __m128i codes = _mm_setzero_si128();
#pragma GCC unroll 4
  for (int w = 0; w < N; ++w)
    codes = _mm_or_si128(codes, _mm_shuffle_epi8(load(x[w]), _mm256_castsi256_si128(index[w])));
  store(y, codes);
}

void gather_any(const ChannelBlock& block, const ChannelInput* inputs, int64_t pixels, uint8_t* y, int64_t y_step) {
  for (int64_t p = 0; p < pixels; ++p) {
    __m128i codes = _mm_setzero_si128();
    for (int32_t w = 0; w < block.count; ++w) {
      const ChannelWindow& window = block.windows[w];
      const ChannelInput& input = inputs[window.input];
      const __m128i loaded = load(input.x + p * input.step + window.offset);
      codes = _mm_or_si128(codes, _mm_shuffle_epi8(loaded, load(window.index)));
    }
    store(y + p * y_step + block.offset, codes);
  }
}

void gather_block(const ChannelBlock& block, const ChannelInput* inputs, int64_t pixels, uint8_t* y, int64_t y_step) {
  switch (block.count) {
    case 1: return gather_few<1>(block, inputs, pixels, y, y_step);
    case 2: return gather_few<2>(block, inputs, pixels, y, y_step);
    case 3: return gather_few<3>(block, inputs, pixels, y, y_step);
    default: return gather_any(block, inputs, pixels, y, y_step);
  }
}

}  // namespace

const GatherChannelsKernel gather_channels_avx2 = {k_bytes, gather_block, "avx2"};

}  // namespace octet
