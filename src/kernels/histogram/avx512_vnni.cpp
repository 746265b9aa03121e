#include <immintrin.h>

#include "kernels/histogram/histogram_isa.h"

namespace octet {
namespace {

size_t index_f32(const float* x, size_t n, float bins_per_unit, uint32_t negative_offset, uint32_t* index,
                 int32_t* ends) {
  const __m512i magnitude_bits = _mm512_set1_epi32(0x7fffffff);
  const __m512 scale = _mm512_set1_ps(bins_per_unit);
  const __m512i offset = _mm512_set1_epi32(static_cast<int32_t>(negative_offset));
  const __m512i minus_one = _mm512_set1_epi32(-1);
  __m512i smallest = _mm512_set1_epi32(0x7fffffff), largest = _mm512_set1_epi32(static_cast<int32_t>(0x80000000u));
  size_t listed = 0;
  for (size_t i = 0; i < n; i += 16) {
    const __mmask16 live = n - i >= 16 ? static_cast<__mmask16>(0xffff) : static_cast<__mmask16>((1u << (n - i)) - 1);
    const __m512i bits = _mm512_maskz_loadu_epi32(live, x + i);
    const __m512i magnitude = _mm512_and_si512(bits, magnitude_bits);
    const __m512i flips = _mm512_and_si512(_mm512_srai_epi32(bits, 31), magnitude_bits);
    const __m512i key = _mm512_xor_si512(bits, flips);
    smallest = _mm512_mask_min_epi32(smallest, live, smallest, key);
    largest = _mm512_mask_max_epi32(largest, live, largest, key);
    const __m512 position = _mm512_mul_ps(_mm512_castsi512_ps(magnitude), scale);
    // Rounded upwards in the conversion; what underflowed to 0 becomes -1 and then bin 0.
    const __m512i ceiling = _mm512_cvt_roundps_epi32(position, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
    __m512i bin = _mm512_max_epi32(_mm512_add_epi32(ceiling, minus_one), _mm512_setzero_si512());
    bin = _mm512_mask_add_epi32(bin, _mm512_movepi32_mask(bits), bin, offset);
    const __mmask16 non_zero = _mm512_test_epi32_mask(magnitude, magnitude);  // dead lanes were loaded as zeros
    _mm512_storeu_si512(index + listed, _mm512_maskz_compress_epi32(non_zero, bin));
    listed += static_cast<size_t>(__builtin_popcount(non_zero));
  }
  ends[0] = _mm512_reduce_min_epi32(smallest);
  ends[1] = _mm512_reduce_max_epi32(largest);
  return listed;
}

}  // namespace

const HistogramKernels histogram_avx512_vnni = {index_f32, "avx512_vnni"};

}  // namespace octet
