// AVX512-VNNI: 64 channels per block, one vpdpbusd per quad vector.

#include <immintrin.h>

#include "kernels/depthwise/depthwise_isa.h"

namespace octet {
namespace {

struct Vec {
  using Bytes = __m512i;
  using Acc = __m512i;
  using Float = __m512;
  using Quad = __m512i;
  static constexpr int k_bytes = 64;
  static constexpr int k_dot_bytes = 64;

  struct Residual {
    Residual(int32_t zero_point, float m)
        : zero_point_(_mm512_set1_epi32(zero_point)), multiplier_(_mm512_set1_ps(m)) {}
    __m512i zero_point_;
    __m512 multiplier_;
  };

  static __mmask64 first_64(int64_t n) { return n >= 64 ? ~0ull : (1ull << n) - 1; }

  static Bytes zero() { return _mm512_setzero_si512(); }
  static Bytes words(int16_t value) { return _mm512_set1_epi16(value); }
  static Bytes load(const uint8_t* p) { return _mm512_loadu_si512(p); }
  static Bytes load_halves(const uint8_t* p0, const uint8_t* p1) {
    const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p0));
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p1)), 1);
  }
  static void store(uint8_t* p, Bytes v) { _mm512_storeu_si512(p, v); }
  static Bytes unpack_lo8(Bytes a, Bytes b) { return _mm512_unpacklo_epi8(a, b); }
  static Bytes unpack_hi8(Bytes a, Bytes b) { return _mm512_unpackhi_epi8(a, b); }
  static Bytes unpack_lo16(Bytes a, Bytes b) { return _mm512_unpacklo_epi16(a, b); }
  static Bytes unpack_hi16(Bytes a, Bytes b) { return _mm512_unpackhi_epi16(a, b); }
  static Quad quad(Bytes v) { return v; }
  static Acc dot(Acc acc, Quad quad, const int8_t* w) { return _mm512_dpbusd_epi32(acc, quad, _mm512_loadu_si512(w)); }
  /// The value is in a register at this point of the program.
  static Acc pin(Acc acc) {
    __asm__ volatile("" : "+v"(acc));
    return acc;
  }
  static Acc bias(const int32_t* p) { return _mm512_loadu_si512(p); }

  static Float scale(Acc acc, const float* m) { return _mm512_mul_ps(_mm512_cvtepi32_ps(acc), _mm512_loadu_ps(m)); }
  static Float scale_add(Acc acc, const float* m, Bytes r, const Residual& residual) {
    const __m512 second =
        _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(r, residual.zero_point_)), residual.multiplier_);
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(acc), _mm512_loadu_ps(m), second);
  }

  /// The weight of position 0 of each dword.
  static Float first_tap(const int8_t* w) {
    return _mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(_mm512_loadu_si512(w), 24), 24));
  }
  static Float from_int(int32_t n) { return _mm512_set1_ps(static_cast<float>(n)); }
  static Float from_ints(const int32_t* p) { return _mm512_cvtepi32_ps(_mm512_loadu_si512(p)); }
  static Float load_floats(const float* p) { return _mm512_loadu_ps(p); }
  static Float as_float(Bytes v) { return _mm512_castsi512_ps(v); }
  static Float fma(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }
  static Float shift(Bytes r, const Residual& residual) {
    return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(r, residual.zero_point_)), residual.multiplier_);
  }

  /// The packs clamp to 16 and 8 bits; a value beyond 16 bits is beyond [lo, hi] with any zero point, so nothing is
  /// lost.
  static Bytes codes(const Float (&v)[4], int32_t zero_point, int32_t lo, int32_t hi) {
    const __m512i zp = _mm512_set1_epi16(static_cast<int16_t>(zero_point));
    const __m512i low = _mm512_packs_epi32(_mm512_cvtps_epi32(v[0]), _mm512_cvtps_epi32(v[1]));
    const __m512i high = _mm512_packs_epi32(_mm512_cvtps_epi32(v[2]), _mm512_cvtps_epi32(v[3]));
    const __m512i q = _mm512_packus_epi16(_mm512_adds_epi16(low, zp), _mm512_adds_epi16(high, zp));
    return _mm512_min_epu8(_mm512_max_epu8(q, _mm512_set1_epi8(static_cast<char>(lo))),
                           _mm512_set1_epi8(static_cast<char>(hi)));
  }
  static void store_codes(uint8_t* y, Bytes v, int64_t n) { _mm512_mask_storeu_epi8(y, first_64(n), v); }
  static void store_half(uint8_t* y, Bytes v, int half, int64_t n) {
    const __m256i codes = half ? _mm512_extracti64x4_epi64(v, 1) : _mm512_castsi512_si256(v);
    _mm256_mask_storeu_epi8(y, static_cast<__mmask32>(first_64(n)), codes);
  }
  /// Lane `lane` of the four vectors: 16 channels in natural order.
  static void store_floats(float* out, const Float (&v)[4], int lane, int64_t n) {
    alignas(64) float values[4][16];
    for (int j = 0; j < 4; ++j) _mm512_store_ps(values[j], v[j]);
    const __m512 lanes = _mm512_insertf32x8(
        _mm512_castps256_ps512(_mm256_set_m128(_mm_load_ps(values[1] + 4 * lane), _mm_load_ps(values[0] + 4 * lane))),
        _mm256_set_m128(_mm_load_ps(values[3] + 4 * lane), _mm_load_ps(values[2] + 4 * lane)), 1);
    _mm512_mask_storeu_ps(out, static_cast<__mmask16>(first_64(n)), lanes);
  }
};

#include "kernels/depthwise/interleave.inc"
#include "kernels/depthwise/pointwise.inc"

// 32 registers: 16 sums, 8 vectors of pairs, 4 of a quad.
constexpr DepthwiseTile k_3x3_s1 = {3, 3, 1, 2, 2, 1, 4, false};
constexpr DepthwiseTile k_3x3_s2 = {3, 3, 2, 2, 2, 2, 2, true};
constexpr DepthwiseTile k_5x5_s1 = {5, 5, 1, 4, 1, 2, 4, false};
constexpr DepthwiseTile k_5x5_s2 = {5, 5, 2, 2, 1, 2, 4, false};
constexpr DepthwiseTile k_7x7_s1 = {7, 7, 1, 2, 1, 2, 4, false};
constexpr DepthwiseTile k_1x1_s1 = {1, 1, 1, 4, 1, 1, 4, false};  // a scale and a shift per channel
constexpr DepthwiseU8S8Kernel k_u8s8[] = {{k_1x1_s1, run_pointwise<k_1x1_s1>}, {k_3x3_s1, run_u8s8<k_3x3_s1>},
                                          {k_3x3_s2, run_u8s8<k_3x3_s2>},      {k_5x5_s1, run_u8s8<k_5x5_s1>},
                                          {k_5x5_s2, run_u8s8<k_5x5_s2>},      {k_7x7_s1, run_u8s8<k_7x7_s1>},
                                          {k_any_window, run_u8s8_any}};

/// `pixels` outputs from ox on, 16 * vectors channels from c on, of which the last vector keeps `mask`. Taps are added
/// in the order kh, kw; more than one pixel only where every column lies inside the image.
template <int pixels, int vectors>
inline void f32_tile(const DepthwiseF32Call& call, int64_t oy, int64_t ox, int64_t c, __mmask16 mask) {
  const WindowGeometry& g = *call.geometry;
  const int64_t weight_pitch = (g.ic + 15) / 16 * 16;
  const int64_t step = g.stride_w * g.x_pitch;
  __m512 sum[pixels][vectors];
#pragma GCC unroll 8
  for (int p = 0; p < pixels; ++p)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) sum[p][v] = _mm512_loadu_ps(call.bias + c + 16 * v);
  for (int64_t kh = 0; kh < g.kh; ++kh) {
    const int64_t iy = oy * g.stride_h - g.pad_top + kh * g.dilation_h;
    if (iy < 0 || iy >= g.ih) continue;
    const float* w = call.weights + kh * g.kw * weight_pitch + c;
    int64_t ix = ox * g.stride_w - g.pad_left;
    const float* x = call.x + (iy * g.iw + ix) * g.x_pitch + c;
    for (int64_t kw = 0; kw < g.kw; ++kw) {
      if (pixels > 1 || (ix >= 0 && ix < g.iw)) {
        __m512 weight[vectors];
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) weight[v] = _mm512_loadu_ps(w + 16 * v);
        const float* at = x;
#pragma GCC unroll 8
        for (int p = 0; p < pixels; ++p) {
#pragma GCC unroll 4
          for (int v = 0; v < vectors; ++v)
            sum[p][v] = _mm512_fmadd_ps(_mm512_loadu_ps(at + 16 * v), weight[v], sum[p][v]);
          at += step;
          // One pointer that moves: gcc would rather keep eight offsets, and lacks the registers for them.
          __asm__("" : "+r"(at));
        }
      }
      ix += g.dilation_w;
      x += g.dilation_w * g.x_pitch;
      w += weight_pitch;
    }
  }
#pragma GCC unroll 8
  for (int p = 0; p < pixels; ++p) {
    const int64_t out = oy * g.ow + ox + p;
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) {
      const int64_t k = c + 16 * v;
      if (call.residual)
        sum[p][v] = _mm512_add_ps(sum[p][v], _mm512_loadu_ps(call.residual + out * g.residual_pitch + k));
      if (v + 1 < vectors || mask == 0xffff)
        _mm512_storeu_ps(call.y + out * g.y_pitch + k, sum[p][v]);
      else
        _mm512_mask_storeu_ps(call.y + out * g.y_pitch + k, mask, sum[p][v]);
    }
  }
}

/// Whether outputs [ox, ox + pixels) exist and read no column outside the image.
inline bool is_inside(const WindowGeometry& g, int64_t ox, int64_t pixels) {
  const int64_t last = (ox + pixels - 1) * g.stride_w - g.pad_left + (g.kw - 1) * g.dilation_w;
  return ox + pixels <= g.ow && ox * g.stride_w >= g.pad_left && last < g.iw;
}

/// One output row: eight pixels hide the latency of fma (two pipes x four cycles); four serve narrow images.
template <int vectors>
void f32_row(const DepthwiseF32Call& call, int64_t oy, int64_t c, __mmask16 mask) {
  const WindowGeometry& g = *call.geometry;
  for (int64_t ox = 0; ox < g.ow;) {
    if (is_inside(g, ox, 8)) {
      f32_tile<8, vectors>(call, oy, ox, c, mask);
      ox += 8;
    } else if (is_inside(g, ox, 4)) {
      f32_tile<4, vectors>(call, oy, ox, c, mask);
      ox += 4;
    } else {
      f32_tile<1, vectors>(call, oy, ox++, c, mask);
    }
  }
}

/// Bands of eight rows, so that the rows that windows share are still in the L2 cache when the next channels come.
void run_f32(const DepthwiseF32Call& call) {
  constexpr int64_t k_band = 8;
  for (int64_t band = call.oy_begin; band < call.oy_end; band += k_band) {
    const int64_t band_end = band + k_band < call.oy_end ? band + k_band : call.oy_end;
    for (int64_t c = call.c_begin; c < call.c_end; c += 32) {
      const int64_t left = call.c_end - c;
      const __mmask16 mask = static_cast<__mmask16>(Vec::first_64(left >= 32 ? 16 : (left - 1) % 16 + 1));
      for (int64_t oy = band; oy < band_end; ++oy) {
        if (left > 16)
          f32_row<2>(call, oy, c, mask);
        else
          f32_row<1>(call, oy, c, mask);
      }
    }
  }
}

}  // namespace

const DepthwiseKernels depthwise_avx512_vnni = {{64, 4, k_u8s8, 7, "avx512_vnni"}, {run_f32, "avx512_vnni"}};

}  // namespace octet
