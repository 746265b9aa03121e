// AVX2: 32 channels per block. vpmaddubsw would saturate (2 * 255 * 127 > 32767), so a quad is split into words and
// goes through vpmaddwd twice: exact.

#include <immintrin.h>

#include "kernels/depthwise/depthwise_isa.h"
#include "kernels/depthwise/ymm_isa.h"

namespace octet {
namespace {

struct Vec : Ymm {
  /// Taps 0 and 2, and taps 1 and 3, as words.
  struct Quad {
    __m256i even, odd;
  };
  static constexpr int k_dot_bytes = 64;

  /// The weight of position 0 of each dword.
  static Float first_tap(const int8_t* w) {
    const __m256i dwords = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w));
    return _mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_slli_epi32(dwords, 16), 16));
  }
  static Quad quad(Bytes v) { return {_mm256_and_si256(v, _mm256_set1_epi16(0xff)), _mm256_srli_epi16(v, 8)}; }
  static Acc dot(Acc acc, const Quad& quad, const int8_t* w) {
    const __m256i* weights = reinterpret_cast<const __m256i*>(w);
    const __m256i even = _mm256_madd_epi16(quad.even, _mm256_loadu_si256(weights));
    const __m256i odd = _mm256_madd_epi16(quad.odd, _mm256_loadu_si256(weights + 1));
    return _mm256_add_epi32(acc, _mm256_add_epi32(even, odd));
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

/// `pixels` outputs from ox on, 16 channels from c on, of which the first n are stored (the rest of the pitch may be
/// read). Taps are added in the order kh, kw; more than one pixel only where every column lies inside the image.
template <int pixels>
inline void f32_tile(const DepthwiseF32Call& call, int64_t oy, int64_t ox, int64_t c, int64_t n) {
  const DepthwiseGeometry& g = *call.geometry;
  const int64_t weight_pitch = (g.ic + 15) / 16 * 16;
  const int64_t step = g.stride_w * g.x_pitch;
  __m256 sum[pixels][2];
#pragma GCC unroll 8
  for (int p = 0; p < pixels; ++p)
    sum[p][0] = _mm256_loadu_ps(call.bias + c), sum[p][1] = _mm256_loadu_ps(call.bias + c + 8);
  for (int64_t kh = 0; kh < g.kh; ++kh) {
    const int64_t iy = oy * g.stride_h - g.pad_top + kh * g.dilation_h;
    if (iy < 0 || iy >= g.ih) continue;
    const float* w = call.weights + kh * g.kw * weight_pitch + c;
    int64_t ix = ox * g.stride_w - g.pad_left;
    const float* x = call.x + (iy % call.x_rows * g.x_width + ix) * g.x_pitch + c;
    for (int64_t kw = 0; kw < g.kw; ++kw) {
      if (pixels > 1 || (ix >= 0 && ix < g.iw)) {
        const __m256 w0 = _mm256_loadu_ps(w), w1 = _mm256_loadu_ps(w + 8);
        const float* at = x;
#pragma GCC unroll 8
        for (int p = 0; p < pixels; ++p) {
          sum[p][0] = _mm256_fmadd_ps(_mm256_loadu_ps(at), w0, sum[p][0]);
          sum[p][1] = _mm256_fmadd_ps(_mm256_loadu_ps(at + 8), w1, sum[p][1]);
          at += step;
          // One pointer that moves: gcc would rather keep an offset per pixel, and lacks the registers for them.
          __asm__("" : "+r"(at));
        }
      }
      ix += g.dilation_w;
      x += g.dilation_w * g.x_pitch;
      w += weight_pitch;
    }
  }
  const __m256 lo = _mm256_set1_ps(call.lo), hi = _mm256_set1_ps(call.hi);
  const float* residual = call.residual ? call.residual + (oy * g.y_width + ox) * g.residual_pitch + c : nullptr;
  float* y = call.y + ((oy - call.oy_begin) * g.y_width + ox) * g.y_pitch + c;
#pragma GCC unroll 8
  for (int p = 0; p < pixels; ++p) {
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) {
      __m256 f = sum[p][v];
      if (residual) f = _mm256_add_ps(f, _mm256_loadu_ps(residual + p * g.residual_pitch + 8 * v));
      f = _mm256_min_ps(hi, _mm256_max_ps(lo, f));  // the second operand when one is NaN
      if (n >= 16)
        _mm256_storeu_ps(y + p * g.y_pitch + 8 * v, f);
      else
        _mm256_maskstore_ps(y + p * g.y_pitch + 8 * v, first_8(n - 8 * v), f);
    }
  }
}

/// Whether outputs [ox, ox + pixels) exist and read no column outside the image.
inline bool is_inside(const WindowGeometry& g, int64_t ox, int64_t pixels) {
  const int64_t last = (ox + pixels - 1) * g.stride_w - g.pad_left + (g.kw - 1) * g.dilation_w;
  return ox + pixels <= g.ow && ox * g.stride_w >= g.pad_left && last < g.iw;
}

/// Six pixels of two vectors fill 12 of 16 registers. Bands of eight rows, so that the rows that windows share are
/// still in the L2 cache when the next channels come.
void run_f32(const DepthwiseF32Call& call) {
  const DepthwiseGeometry& g = *call.geometry;
  constexpr int64_t k_band = 8;
  for (int64_t band = call.oy_begin; band < call.oy_end; band += k_band) {
    const int64_t band_end = band + k_band < call.oy_end ? band + k_band : call.oy_end;
    for (int64_t c = call.c_begin; c < call.c_end; c += 16) {
      for (int64_t oy = band; oy < band_end; ++oy) {
        for (int64_t ox = 0; ox < g.ow;) {
          if (is_inside(g, ox, 6)) {
            f32_tile<6>(call, oy, ox, c, call.c_end - c);
            ox += 6;
          } else if (is_inside(g, ox, 3)) {
            f32_tile<3>(call, oy, ox, c, call.c_end - c);
            ox += 3;
          } else {
            f32_tile<1>(call, oy, ox, c, call.c_end - c);
            ++ox;
          }
        }
      }
    }
  }
}

}  // namespace

void depthwise_run_f32_avx2(const DepthwiseF32Call& call) { run_f32(call); }

const DepthwiseKernels depthwise_avx2 = {{32, 8, k_u8s8, 8, "avx2"}, {run_f32, "avx2", depthwise_likes_no_lattice}};

}  // namespace octet
