// AVX-VNNI: 32 channels per block, one vpdpbusd per quad vector. Its float side is AVX2's.

#include <immintrin.h>

#include "kernels/depthwise/depthwise_isa.h"
#include "kernels/depthwise/ymm_isa.h"

namespace octet {
namespace {

struct Vec : Ymm {
  using Quad = __m256i;
  static constexpr int k_dot_bytes = 32;

  /// The weight of position 0 of each dword.
  static Float first_tap(const int8_t* w) {
    const __m256i dwords = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w));
    return _mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_slli_epi32(dwords, 24), 24));
  }
  static Quad quad(Bytes v) { return v; }
  static Acc dot(Acc acc, Quad quad, const int8_t* w) {
    return _mm256_dpbusd_avx_epi32(acc, quad, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w)));
  }
};

#include "kernels/depthwise/interleave.inc"
#include "kernels/depthwise/pointwise.inc"

// 16 registers: 8 sums, 4 vectors of pairs, 4 of a quad.
constexpr DepthwiseTile k_3x3_s1 = {3, 3, 1, 2, 1, 1, 4, false};
constexpr DepthwiseTile k_3x3_s2 = {3, 3, 2, 1, 1, 1, 4, false};
constexpr DepthwiseTile k_5x5_s1 = {5, 5, 1, 2, 1, 2, 4, false};
constexpr DepthwiseTile k_5x5_s2 = {5, 5, 2, 2, 1, 2, 4, false};
constexpr DepthwiseTile k_7x7_s1 = {7, 7, 1, 2, 1, 2, 4, false};
constexpr DepthwiseTile k_7x7_s2 = {7, 7, 2, 1, 1, 2, 4, false};
constexpr DepthwiseTile k_1x1_s1 = {1, 1, 1, 2, 1, 1, 4, false};
constexpr DepthwiseU8S8Kernel k_u8s8[] = {{k_1x1_s1, run_pointwise<k_1x1_s1>}, {k_3x3_s1, run_u8s8<k_3x3_s1>},
                                          {k_3x3_s2, run_u8s8<k_3x3_s2>},      {k_5x5_s1, run_u8s8<k_5x5_s1>},
                                          {k_5x5_s2, run_u8s8<k_5x5_s2>},      {k_7x7_s1, run_u8s8<k_7x7_s1>},
                                          {k_7x7_s2, run_u8s8<k_7x7_s2>},      {k_any_window, run_u8s8_any}};

}  // namespace

const DepthwiseKernels depthwise_avx_vnni = {{32, 4, k_u8s8, 8, "avx_vnni"},
                                             {depthwise_run_f32_avx2, "avx2", depthwise_likes_no_lattice}};

}  // namespace octet
