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
  static Bytes bytes(int32_t value) { return _mm512_set1_epi8(static_cast<char>(value)); }
  static Bytes bit_xor(Bytes a, Bytes b) { return _mm512_xor_si512(a, b); }
  static Bytes high_u16(Bytes a, Bytes b) { return _mm512_mulhi_epu16(a, b); }
  static Bytes high_s16(Bytes a, Bytes b) { return _mm512_mulhi_epi16(a, b); }
  static Bytes adds_s16(Bytes a, Bytes b) { return _mm512_adds_epi16(a, b); }
  static Bytes pack_u8(Bytes a, Bytes b) { return _mm512_packus_epi16(a, b); }
  static Bytes clamp_u8(Bytes v, Bytes lo, Bytes hi) { return _mm512_min_epu8(_mm512_max_epu8(v, lo), hi); }
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
  static void store_whole_half(uint8_t* y, Bytes v, int half) {
    const __m256i codes = half ? _mm512_extracti64x4_epi64(v, 1) : _mm512_castsi512_si256(v);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), codes);
  }
  static void store_half(uint8_t* y, Bytes v, int half, int64_t n) {
    const __m256i codes = half ? _mm512_extracti64x4_epi64(v, 1) : _mm512_castsi512_si256(v);
    _mm256_mask_storeu_epi8(y, static_cast<__mmask32>(first_64(n)), codes);
  }
  /// The channels in natural order: lane l of v[j] holds those from 16 l + 4 j on.
  static void to_natural(const Float (&v)[4], Float (&natural)[4]) {
    const __m512 low_01 = _mm512_shuffle_f32x4(v[0], v[1], 0x44), low_23 = _mm512_shuffle_f32x4(v[2], v[3], 0x44);
    const __m512 high_01 = _mm512_shuffle_f32x4(v[0], v[1], 0xee), high_23 = _mm512_shuffle_f32x4(v[2], v[3], 0xee);
    natural[0] = _mm512_shuffle_f32x4(low_01, low_23, 0x88);
    natural[1] = _mm512_shuffle_f32x4(low_01, low_23, 0xdd);
    natural[2] = _mm512_shuffle_f32x4(high_01, high_23, 0x88);
    natural[3] = _mm512_shuffle_f32x4(high_01, high_23, 0xdd);
  }
  /// n of the 16 channels from 16 * lane on.
  template <int lane>
  static void store_floats(float* out, const Float (&natural)[4], int64_t n) {
    _mm512_mask_storeu_ps(out, static_cast<__mmask16>(first_64(n)), natural[lane]);
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
    const float* x = call.x + (iy % call.x_rows * g.iw + ix) * g.x_pitch + c;
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
  const __m512 lo = _mm512_set1_ps(call.lo), hi = _mm512_set1_ps(call.hi);
  const float* residual = call.residual ? call.residual + (oy * g.ow + ox) * g.residual_pitch + c : nullptr;
  float* y = call.y + ((oy - call.oy_begin) * g.ow + ox) * g.y_pitch + c;
#pragma GCC unroll 8
  for (int p = 0; p < pixels; ++p) {
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) {
      __m512 f = sum[p][v];
      if (residual) f = _mm512_add_ps(f, _mm512_loadu_ps(residual + p * g.residual_pitch + 16 * v));
      f = _mm512_min_ps(hi, _mm512_max_ps(lo, f));  // the second operand when one is NaN
      if (v + 1 < vectors || mask == 0xffff)
        _mm512_storeu_ps(y + p * g.y_pitch + 16 * v, f);
      else
        _mm512_mask_storeu_ps(y + p * g.y_pitch + 16 * v, mask, f);
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

/// Pixels from a place on, `bytes` apart, with no more than one register for every other one of them.
struct Pixels {
  int64_t one, three, five, seven;  // bytes
  explicit Pixels(int64_t pitch) : one(4 * pitch), three(12 * pitch), five(20 * pitch), seven(28 * pitch) {
    __asm__("" : "+r"(three), "+r"(five), "+r"(seven));  // gcc would compute them from `one` again and again
  }
  template <int n>
  __attribute__((always_inline)) int64_t bytes() const {
    static_assert(n >= 0 && n <= 8);
    return n == 3 ? three : n == 5 ? five : n == 7 ? seven : n == 6 ? 2 * three : n * one;
  }
};

/// Two rows of tw outputs of a 3x3 window, 16 channels. Each input is loaded once for all outputs that it meets, column
/// by column of each row, so that every output still adds its taps in the order kh, kw.
/// rows: column 0 of each input row, null where the row lies outside the image; offset: bytes to the tile's first
/// column. cut_left, cut_right: the first, or last, column lies outside.
template <int stride, int tw, int r, int column>
inline __attribute__((always_inline)) void f32_column_3x3(const char* row, const Pixels& pixels, const __m512 (&w)[9],
                                                          __m512 (&sum)[2][4]) {
  const __m512 x = _mm512_loadu_ps(row + pixels.bytes<column>());
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < tw; ++j) {
      const int kh = r - i * stride, kw = column - j * stride;
      if (kh >= 0 && kh < 3 && kw >= 0 && kw < 3) sum[i][j] = _mm512_fmadd_ps(x, w[kh * 3 + kw], sum[i][j]);
    }
}
template <int stride, int tw, int r, int column = 0>
inline __attribute__((always_inline)) void f32_columns_3x3(const char* row, const Pixels& pixels, bool cut_left,
                                                           bool cut_right, const __m512 (&w)[9], __m512 (&sum)[2][4]) {
  constexpr int last = (tw - 1) * stride + 2;
  if (!(column == 0 && cut_left) && !(column == last && cut_right))
    f32_column_3x3<stride, tw, r, column>(row, pixels, w, sum);
  if constexpr (column < last) f32_columns_3x3<stride, tw, r, column + 1>(row, pixels, cut_left, cut_right, w, sum);
}
template <int stride, int tw, int r = 0>
inline __attribute__((always_inline)) void f32_tile_3x3(const char* const* rows, int64_t offset, const Pixels& pixels,
                                                        bool cut_left, bool cut_right, const __m512 (&w)[9],
                                                        __m512 (&sum)[2][4]) {
  if (rows[r]) f32_columns_3x3<stride, tw, r>(rows[r] + offset, pixels, cut_left, cut_right, w, sum);
  if constexpr (r < stride + 2) f32_tile_3x3<stride, tw, r + 1>(rows, offset, pixels, cut_left, cut_right, w, sum);
}

/// Output row oy and, of two, the next one; 16 channels from c on, of which `mask` are kept.
template <int stride>
__attribute__((noinline)) void f32_rows_3x3(const DepthwiseF32Call& call, int64_t oy, bool two, int64_t c,
                                            __mmask16 mask) {
  const WindowGeometry& g = *call.geometry;
  const int64_t weight_pitch = (g.ic + 15) / 16 * 16;
  const char* rows[stride + 3];
  for (int r = 0; r < stride + 3; ++r) {
    const int64_t iy = oy * stride - g.pad_top + r;
    const bool is_read = iy >= 0 && iy < g.ih && (two || r < 3);
    rows[r] = is_read ? reinterpret_cast<const char*>(call.x + iy % call.x_rows * g.iw * g.x_pitch + c) : nullptr;
  }
  __m512 w[9];
#pragma GCC unroll 9
  for (int tap = 0; tap < 9; ++tap) w[tap] = _mm512_loadu_ps(call.weights + tap * weight_pitch + c);
  const __m512 bias = _mm512_loadu_ps(call.bias + c), lo = _mm512_set1_ps(call.lo), hi = _mm512_set1_ps(call.hi);
  const Pixels pixels(g.x_pitch);
  float* y = call.y + (oy - call.oy_begin) * g.ow * g.y_pitch + c;
  const float* residual = call.residual ? call.residual + oy * g.ow * g.residual_pitch + c : nullptr;
  const int64_t width = g.ow, x_width = g.iw, y_pitch = g.y_pitch, residual_pitch = g.residual_pitch;
  int64_t ix = -g.pad_left, offset = 4 * ix * g.x_pitch, left = width;
  // Tiles of four outputs, and of three where that comes out even.
  while (left >= 3) {
    const int64_t tw = left % 4 == 0 ? 4 : 3;
    const bool cut_left = ix < 0, cut_right = ix + (tw - 1) * stride + 2 >= x_width;
    __m512 sum[2][4];
#pragma GCC unroll 8
    for (int t = 0; t < 8; ++t) sum[t / 4][t % 4] = bias;
    if (tw == 4)
      f32_tile_3x3<stride, 4>(rows, offset, pixels, cut_left, cut_right, w, sum);
    else
      f32_tile_3x3<stride, 3>(rows, offset, pixels, cut_left, cut_right, w, sum);
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      if (i == 1 && !two) break;
      float* out = y + i * width * y_pitch;
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) {
        if (j == 3 && tw == 3) break;
        __m512 f = sum[i][j];
        if (residual) f = _mm512_add_ps(f, _mm512_loadu_ps(residual + (i * width + j) * residual_pitch));
        f = _mm512_min_ps(hi, _mm512_max_ps(lo, f));  // the second operand when one is NaN
        _mm512_mask_storeu_ps(out + j * y_pitch, mask, f);
      }
    }
    y += tw * y_pitch;
    if (residual) residual += tw * residual_pitch;
    ix += tw * stride, offset += tw * stride * pixels.one, left -= tw;
  }
  for (; left > 0; --left)
    for (int i = 0; i < (two ? 2 : 1); ++i) f32_tile<1, 1>(call, oy + i, width - left, c, mask);
}

/// A 3x3 window that lies outside the image by one column at most.
bool is_3x3(const WindowGeometry& g, int64_t stride) {
  return g.kh == 3 && g.kw == 3 && g.dilation_h == 1 && g.dilation_w == 1 && g.stride_h == stride &&
         g.stride_w == stride && g.pad_left >= 0 && g.pad_left <= 1 && (g.ow - 1) * stride - g.pad_left + 2 <= g.iw;
}

/// Bands of eight rows, so that the rows that windows share are still in the L2 cache when the next channels come.
void run_f32(const DepthwiseF32Call& call) {
  constexpr int64_t k_band = 8;
  const bool by_one = is_3x3(*call.geometry, 1), by_two = is_3x3(*call.geometry, 2);
  const int64_t vectors = by_one || by_two ? 1 : 2;
  for (int64_t band = call.oy_begin; band < call.oy_end; band += k_band) {
    const int64_t band_end = band + k_band < call.oy_end ? band + k_band : call.oy_end;
    for (int64_t c = call.c_begin; c < call.c_end; c += 16 * vectors) {
      const int64_t left = call.c_end - c;
      const __mmask16 mask = static_cast<__mmask16>(Vec::first_64(left >= 16 * vectors ? 16 : (left - 1) % 16 + 1));
      if (by_one || by_two) {
        for (int64_t oy = band; oy < band_end; oy += 2)
          (by_one ? f32_rows_3x3<1> : f32_rows_3x3<2>)(call, oy, oy + 1 < band_end, c, mask);
      } else {
        for (int64_t oy = band; oy < band_end; ++oy) {
          if (left > 16)
            f32_row<2>(call, oy, c, mask);
          else
            f32_row<1>(call, oy, c, mask);
        }
      }
    }
  }
}

}  // namespace

const DepthwiseKernels depthwise_avx512_vnni = {{64, 4, k_u8s8, 7, "avx512_vnni"}, {run_f32, "avx512_vnni"}};

}  // namespace octet
