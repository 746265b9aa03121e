#include <immintrin.h>
#include <string.h>

#include "kernels/histogram/histogram_isa.h"

namespace octet {
namespace {

/// For each mask of 8 lanes the numbers of its set lanes, in order, one byte each: a permutation that squeezes them to
/// the front.
struct SqueezeTable {
  uint8_t lanes[256][8];
  constexpr SqueezeTable() : lanes() {
    for (int mask = 0; mask < 256; ++mask) {
      int kept = 0;
      for (int lane = 0; lane < 8; ++lane)
        if (mask >> lane & 1) lanes[mask][kept++] = static_cast<uint8_t>(lane);
    }
  }
};
constexpr SqueezeTable k_squeeze;

struct Row {
  __m256 scale;
  __m256i offset, smallest, largest;
  uint32_t* index;
};

/// Eight elements, of which `live` (as full lanes) count.
inline void index_eight(Row& row, __m256i bits, __m256i live) {
  const __m256i magnitude_bits = _mm256_set1_epi32(0x7fffffff);
  const __m256i magnitude = _mm256_and_si256(bits, magnitude_bits);
  const __m256i sign = _mm256_srai_epi32(bits, 31);
  const __m256i key = _mm256_xor_si256(bits, _mm256_and_si256(sign, magnitude_bits));
  row.smallest = _mm256_min_epi32(row.smallest, _mm256_blendv_epi8(row.smallest, key, live));
  row.largest = _mm256_max_epi32(row.largest, _mm256_blendv_epi8(row.largest, key, live));
  const __m256 position = _mm256_ceil_ps(_mm256_mul_ps(_mm256_castsi256_ps(magnitude), row.scale));
  __m256i bin = _mm256_add_epi32(_mm256_cvttps_epi32(position), _mm256_set1_epi32(-1));
  bin = _mm256_max_epi32(bin, _mm256_setzero_si256());
  bin = _mm256_add_epi32(bin, _mm256_and_si256(sign, row.offset));
  const __m256i zero = _mm256_cmpeq_epi32(magnitude, _mm256_setzero_si256());
  const auto kept = static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_andnot_si256(zero, live))));
  const __m256i order = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(k_squeeze.lanes[kept])));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(row.index), _mm256_permutevar8x32_epi32(bin, order));
  row.index += __builtin_popcount(kept);
}

size_t index_f32(const float* x, size_t n, float bins_per_unit, uint32_t negative_offset, uint32_t* index,
                 int32_t* ends) {
  Row row = {_mm256_set1_ps(bins_per_unit), _mm256_set1_epi32(static_cast<int32_t>(negative_offset)),
             _mm256_set1_epi32(0x7fffffff), _mm256_set1_epi32(static_cast<int32_t>(0x80000000u)), index};
  const __m256i all = _mm256_set1_epi32(-1);
  size_t i = 0;
  for (; i + 8 <= n; i += 8) index_eight(row, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + i)), all);
  if (i < n) {
    int32_t tail[8] = {}, live[8] = {};
    memcpy(tail, x + i, (n - i) * sizeof(float));
    memset(live, 0xff, (n - i) * sizeof(int32_t));
    index_eight(row, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(tail)),
                _mm256_loadu_si256(reinterpret_cast<const __m256i*>(live)));
  }
  int32_t low[8], high[8];
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(low), row.smallest);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(high), row.largest);
  ends[0] = low[0];
  ends[1] = high[0];
  for (int lane = 1; lane < 8; ++lane) {
    if (low[lane] < ends[0]) ends[0] = low[lane];
    if (high[lane] > ends[1]) ends[1] = high[lane];
  }
  return static_cast<size_t>(row.index - index);
}

}  // namespace

const HistogramKernels histogram_avx2 = {index_f32, "avx2"};

}  // namespace octet
