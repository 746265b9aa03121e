// Depthwise convolution of floats that are kept as bfloat16, for AVX512-BF16.

#include <immintrin.h>

#include "kernels/depthwise/depthwise_isa.h"

namespace octet {
namespace {

inline __attribute__((always_inline)) __m512 load_16(const float* x) { return _mm512_loadu_ps(x); }
inline __attribute__((always_inline)) __m512 load_16(const uint16_t* x) {
  const __m256i brains = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(brains), 16));
}
inline __attribute__((always_inline)) void store_16(uint16_t* y, __mmask16 mask, __m512 v) {
  _mm256_mask_storeu_epi16(y, mask, (__m256i)_mm512_cvtneps_pbh(v));
}

#include "kernels/depthwise/float_rows.inc"

}  // namespace

void depthwise_run_bf16(const DepthwiseCall<uint16_t, uint16_t>& call) { run_floats(call); }
void depthwise_run_bf16(const DepthwiseCall<float, uint16_t>& call) { run_floats(call); }

}  // namespace octet
