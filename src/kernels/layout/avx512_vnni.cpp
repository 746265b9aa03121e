// AVX-512: blocks of 16 pixels x 16 channels; images of up to four channels (photographs) have a shorter way.

#include "kernels/layout/layout_isa.h"
#include "kernels/lookup_avx512.h"
#include "kernels/requantize_avx512.h"

namespace octet {
namespace {

int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/// 4x4 transpose of dwords within each 128-bit lane: lane L of v[i] becomes element i of each old vector's lane L.
void transpose_lanes(__m512i (&v)[4]) {
  const __m512i t0 = _mm512_unpacklo_epi32(v[0], v[1]), t1 = _mm512_unpackhi_epi32(v[0], v[1]);
  const __m512i t2 = _mm512_unpacklo_epi32(v[2], v[3]), t3 = _mm512_unpackhi_epi32(v[2], v[3]);
  v[0] = _mm512_unpacklo_epi64(t0, t2);
  v[1] = _mm512_unpackhi_epi64(t0, t2);
  v[2] = _mm512_unpacklo_epi64(t1, t3);
  v[3] = _mm512_unpackhi_epi64(t1, t3);
}

/// 4x4 transpose of 128-bit lanes: lane j of v[i] goes to lane i of v[j].
void transpose_quarters(__m512i& v0, __m512i& v1, __m512i& v2, __m512i& v3) {
  const __m512i t0 = _mm512_shuffle_i32x4(v0, v1, 0x44), t1 = _mm512_shuffle_i32x4(v0, v1, 0xee);
  const __m512i t2 = _mm512_shuffle_i32x4(v2, v3, 0x44), t3 = _mm512_shuffle_i32x4(v2, v3, 0xee);
  v0 = _mm512_shuffle_i32x4(t0, t2, 0x88);
  v1 = _mm512_shuffle_i32x4(t0, t2, 0xdd);
  v2 = _mm512_shuffle_i32x4(t1, t3, 0x88);
  v3 = _mm512_shuffle_i32x4(t1, t3, 0xdd);
}

/// v[r] holds row r of a 16 x 16 block; afterwards v[r] holds column r.
void transpose_16x16(__m512i (&v)[16]) {
  __m512i t[4][4];
  for (int g = 0; g < 4; ++g) {
    for (int i = 0; i < 4; ++i) t[g][i] = v[4 * g + i];
    transpose_lanes(t[g]);
  }
  // t[g][i], lane L: column 4 L + i of rows 4 g .. 4 g + 3.
  for (int i = 0; i < 4; ++i) {
    transpose_quarters(t[0][i], t[1][i], t[2][i], t[3][i]);
    for (int lane = 0; lane < 4; ++lane) v[4 * lane + i] = t[lane][i];
  }
}

void nchw_to_nhwc_f32(const float* x, int64_t plane, int64_t c, int64_t pixels, int64_t pitch, float* y) {
  for (int64_t p = 0; p < pixels; p += 16) {
    const __mmask16 some_pixels = first_16(pixels - p);
    for (int64_t k = 0; k < pitch; k += 16) {
      __m512i v[16];
      for (int r = 0; r < 16; ++r)
        v[r] = k + r < c ? _mm512_maskz_loadu_epi32(some_pixels, x + (k + r) * plane + p) : _mm512_setzero_si512();
      transpose_16x16(v);
      const __mmask16 some_channels = first_16(pitch - k);
      for (int r = 0; r < 16; ++r)
        if (p + r < pixels) _mm512_mask_storeu_epi32(y + (p + r) * pitch + k, some_channels, v[r]);
    }
  }
}

/// 16 pixels of up to 16 channels from plane 0 on -> codes; lane L of out[i] is the 16 channels of pixel 4 L + i.
struct QuantizedBlock {
  CodeRange512 range;
  Quotient512 quotient;
  __m512i zero_point;

  /// Four planes -> dword p = codes of pixel p.
  __m512i quad(const float* x, int64_t plane, int64_t channels, __mmask16 some_pixels) const {
    __m512i q[4];
    for (int r = 0; r < 4; ++r) {
      q[r] = _mm512_setzero_si512();
      if (r < channels) q[r] = range.round_nan(quotient(_mm512_maskz_loadu_ps(some_pixels, x + r * plane)));
    }
    const __m512i packed = range.pack(q[0], q[1], q[2], q[3]);
    const __m512i interleaved = _mm512_shuffle_epi8(
        packed, _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)));
    // Padding channels are the zero point even where it lies outside [lo, hi].
    const __mmask64 padding = channels >= 4   ? 0
                              : channels <= 0 ? ~0ull
                                              : 0x1111111111111111ull * (0xfull & (0xfull << channels));
    return _mm512_mask_mov_epi8(interleaved, padding, zero_point);
  }

  void load(const float* x, int64_t plane, int64_t channels, __mmask16 some_pixels, __m512i (&out)[4]) const {
    for (int i = 0; i < 4; ++i) out[i] = quad(x + 4 * i * plane, plane, channels - 4 * i, some_pixels);
    transpose_lanes(out);
  }
};

/// Up to four channels and a pitch of 16: one dword of codes per pixel, then twelve zero points.
void quantize_narrow(const QuantizedBlock& block, const float* x, int64_t plane, int64_t c, int64_t pixels,
                     uint8_t* y) {
  const __m512i lane_of = _mm512_setr_epi32(0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0);
  for (int64_t p = 0; p < pixels; p += 16) {
    const __m512i codes = block.quad(x + p, plane, c, first_16(pixels - p));
    for (int i = 0; i < 4; ++i) {
      const __m512i index = _mm512_add_epi32(lane_of, _mm512_set1_epi32(4 * i));
      const __m512i four = _mm512_mask_permutexvar_epi32(block.zero_point, 0x1111, index, codes);
      _mm512_mask_storeu_epi32(y + 16 * (p + 4 * i), first_16(4 * (pixels - p - 4 * i)), four);
    }
  }
}

void nchw_to_nhwc_quantize(const float* x, int64_t plane, int64_t c, int64_t pixels, int64_t pitch, float scale,
                           int32_t zero_point, int32_t lo, int32_t hi, uint8_t* y) {
  const QuantizedBlock block = {CodeRange512(zero_point, lo, hi), Quotient512(scale),
                                _mm512_set1_epi8(static_cast<char>(zero_point))};
  if (c <= 4 && pitch == 16) return quantize_narrow(block, x, plane, c, pixels, y);
  for (int64_t p = 0; p < pixels; p += 16) {
    const __mmask16 some_pixels = first_16(pixels - p);
    for (int64_t k = 0; k < pitch; k += 16) {
      const __mmask16 some_channels = first_16(pitch - k);
      __m512i v[4];
      block.load(x + k * plane + p, plane, c - k, some_pixels, v);
      transpose_quarters(v[0], v[1], v[2], v[3]);  // now lane i of v[L] is pixel 4 L + i
      for (int lane = 0; lane < 4 && p + 4 * lane < pixels; ++lane) {
        alignas(64) uint8_t rows[64];
        _mm512_store_si512(rows, v[lane]);
        for (int64_t i = 0; i < smaller(4, pixels - p - 4 * lane); ++i)
          _mm_mask_storeu_epi8(y + (p + 4 * lane + i) * pitch + k, some_channels,
                               _mm_load_si128(reinterpret_cast<const __m128i*>(rows + 16 * i)));
      }
    }
  }
}

void squeeze_f32(const float* x, int64_t plane, int64_t c, int64_t pixels, float* y) {
  int64_t p = 0;
  for (; p + 16 <= pixels; p += 16) {
    __m512i v[4];
    for (int r = 0; r < 4; ++r) v[r] = r < c ? _mm512_loadu_si512(x + r * plane + p) : _mm512_setzero_si512();
    transpose_lanes(v);  // lane L of v[i]: the channels of pixel 4 L + i
    float* const to = y + p * c;
    for (int i = 0; i < 4; ++i) _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i * c), _mm512_castsi512_si128(v[i]));
    for (int i = 0; i < 4; ++i)
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + (4 + i) * c), _mm512_extracti32x4_epi32(v[i], 1));
    for (int i = 0; i < 4; ++i)
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + (8 + i) * c), _mm512_extracti32x4_epi32(v[i], 2));
    for (int i = 0; i < 4; ++i)
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + (12 + i) * c), _mm512_extracti32x4_epi32(v[i], 3));
  }
  for (; p < pixels; ++p)
    for (int64_t k = 0; k < c; ++k) y[p * c + k] = x[k * plane + p];
}

void squeeze_quantize(const float* x, int64_t plane, int64_t c, int64_t pixels, float scale, int32_t zero_point,
                      uint8_t* y) {
  const QuantizedBlock block = {CodeRange512(zero_point, 0, 255), Quotient512(scale),
                                _mm512_set1_epi8(static_cast<char>(zero_point))};
  alignas(64) uint32_t codes[16];
  int64_t p = 0;
  if (c == 3) {  // each lane's four pixels as twelve bytes
    const __m512i dense = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1));
    for (; p + 32 <= pixels; p += 16) {  // the last store of a block runs into the next one
      const __m512i v = _mm512_shuffle_epi8(block.quad(x + p, plane, c, 0xffff), dense);
      uint8_t* const to = y + 3 * p;
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_castsi512_si128(v));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 12), _mm512_extracti32x4_epi32(v, 1));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 24), _mm512_extracti32x4_epi32(v, 2));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 36), _mm512_extracti32x4_epi32(v, 3));
    }
  }
  for (; p < pixels; p += 16) {
    _mm512_store_si512(codes, block.quad(x + p, plane, c, first_16(pixels - p)));
    for (int64_t i = 0; i < smaller(16, pixels - p); ++i) __builtin_memcpy(y + (p + i) * c, codes + i, 4);
  }
}

/// How 16 pixels of dwords, four in each lane, become 16 c bytes: the bytes of a lane, then the dwords of all.
struct Squeeze {
  __m512i bytes, dwords;
  __m512i operator()(__m512i v) const { return _mm512_permutexvar_epi32(dwords, _mm512_shuffle_epi8(v, bytes)); }
};
Squeeze squeeze_of(int64_t c) {
  const auto lanes = [](__m128i bytes) { return _mm512_broadcast_i32x4(bytes); };
  switch (c) {
    case 1:
      return {lanes(_mm_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1)),
              _mm512_setr_epi32(0, 4, 8, 12, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)};
    case 2:
      return {lanes(_mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, -1, -1, -1, -1, -1, -1, -1, -1)),
              _mm512_setr_epi32(0, 1, 4, 5, 8, 9, 12, 13, 2, 2, 2, 2, 2, 2, 2, 2)};
    case 3:
      return {lanes(_mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1)),
              _mm512_setr_epi32(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 3, 3, 3, 3)};
    default:
      return {lanes(_mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)),
              _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)};
  }
}

/// 64 pixels a step: codes plane by plane, then bytes to dwords, sixteen pixels in each vector.
void squeeze_lookup(const uint8_t* x, int64_t plane, int64_t c, int64_t pixels, const uint8_t* tables, uint8_t* y) {
  // Unpacking works within lanes: a lane is given four pixels of each sixteen.
  const __m512i dealt = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const Squeeze squeeze = squeeze_of(c);
  for (int64_t p = 0; p < pixels; p += 64) {
    const __mmask64 some = first_64(pixels - p);
    __m512i q[4];
    for (int64_t k = 0; k < 4; ++k) {
      q[k] = _mm512_setzero_si512();
      if (k >= c) continue;
      const Table512 entries(tables + 256 * k);
      q[k] = _mm512_permutexvar_epi32(dealt, entries(_mm512_maskz_loadu_epi8(some, x + k * plane + p)));
    }
    const __m512i low01 = _mm512_unpacklo_epi8(q[0], q[1]), high01 = _mm512_unpackhi_epi8(q[0], q[1]);
    const __m512i low23 = _mm512_unpacklo_epi8(q[2], q[3]), high23 = _mm512_unpackhi_epi8(q[2], q[3]);
    const __m512i pixel[4] = {_mm512_unpacklo_epi16(low01, low23), _mm512_unpackhi_epi16(low01, low23),
                              _mm512_unpacklo_epi16(high01, high23), _mm512_unpackhi_epi16(high01, high23)};
    for (int64_t i = 0; i < 4; ++i) {
      const int64_t left = pixels - p - 16 * i;
      if (left <= 0) return;
      uint8_t* const to = y + (p + 16 * i) * c;
      if (left * c >= 64)  // what is stored behind the sixteen is overwritten by those that follow
        _mm512_storeu_si512(to, squeeze(pixel[i]));
      else
        _mm512_mask_storeu_epi8(to, first_64(smaller(left, 16) * c), squeeze(pixel[i]));
    }
  }
}

/// 64 bytes through each channel's table, of which every c-th is kept.
void lookup_pixels(const uint8_t* x, int64_t c, int64_t pixels, const uint8_t* tables, uint8_t* y) {
  const int64_t count = c * pixels;
  constexpr __mmask64 k_every[4] = {~0ull, 0x5555555555555555ull, 0x9249249249249249ull, 0x1111111111111111ull};
  int64_t first = 0;  // the channel of the first byte
  for (int64_t i = 0; i < count; i += 64) {
    const __mmask64 some = first_64(count - i);
    const __m512i v = _mm512_maskz_loadu_epi8(some, x + i);
    __m512i codes = _mm512_setzero_si512();
    for (int64_t at = 0, k = first; at < c; ++at, k = k + 1 < c ? k + 1 : 0) {
      const Table512 entries(tables + 256 * k);
      codes = _mm512_mask_mov_epi8(codes, k_every[c - 1] << at, entries(v));
    }
    _mm512_mask_storeu_epi8(y + i, some, codes);
    first = c == 3 ? (first + 1 < 3 ? first + 1 : 0) : 0;  // 64 = 3 * 21 + 1
  }
}

void nhwc_to_nchw_f32(const float* x, int64_t pitch, int64_t c, int64_t pixels, int64_t plane, float* y) {
  if (pixels == 1 && plane == 1) {
    __builtin_memcpy(y, x, static_cast<size_t>(c) * sizeof(float));
    return;
  }
  for (int64_t k = 0; k < c; k += 16) {
    const __mmask16 some_channels = first_16(c - k);
    for (int64_t p = 0; p < pixels; p += 16) {
      __m512i v[16];
      for (int r = 0; r < 16; ++r)
        v[r] =
            p + r < pixels ? _mm512_maskz_loadu_epi32(some_channels, x + (p + r) * pitch + k) : _mm512_setzero_si512();
      transpose_16x16(v);
      const __mmask16 some_pixels = first_16(pixels - p);
      for (int r = 0; r < 16; ++r)
        if (k + r < c) _mm512_mask_storeu_epi32(y + (k + r) * plane + p, some_pixels, v[r]);
    }
  }
}

}  // namespace

const LayoutKernels layout_avx512_vnni = {nchw_to_nhwc_f32, nchw_to_nhwc_quantize, squeeze_f32,      squeeze_quantize,
                                          squeeze_lookup,   lookup_pixels,         nhwc_to_nchw_f32, "avx512_vnni"};

}  // namespace octet
