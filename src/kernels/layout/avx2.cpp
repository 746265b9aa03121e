// AVX2: blocks of 8 pixels x 8 channels (codes: 8 pixels x 16 channels); images of up to four channels have a shorter
// way.

#include "kernels/layout/layout_isa.h"
#include "kernels/requantize_avx2.h"

namespace octet {
namespace {

int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/// 4x4 transpose of dwords within each 128-bit lane: lane L of v[i] becomes element i of each old vector's lane L.
void transpose_lanes(__m256i (&v)[4]) {
  const __m256i t0 = _mm256_unpacklo_epi32(v[0], v[1]), t1 = _mm256_unpackhi_epi32(v[0], v[1]);
  const __m256i t2 = _mm256_unpacklo_epi32(v[2], v[3]), t3 = _mm256_unpackhi_epi32(v[2], v[3]);
  v[0] = _mm256_unpacklo_epi64(t0, t2);
  v[1] = _mm256_unpackhi_epi64(t0, t2);
  v[2] = _mm256_unpacklo_epi64(t1, t3);
  v[3] = _mm256_unpackhi_epi64(t1, t3);
}

/// v[r] holds row r of an 8 x 8 block; afterwards v[r] holds column r.
void transpose_8x8(__m256 (&v)[8]) {
  __m256i low[4], high[4];
  for (int i = 0; i < 4; ++i) low[i] = _mm256_castps_si256(v[i]), high[i] = _mm256_castps_si256(v[4 + i]);
  transpose_lanes(low);
  transpose_lanes(high);
  // low[i], lane L: column 4 L + i of rows 0-3; high[i]: of rows 4-7.
  for (int i = 0; i < 4; ++i) {
    v[i] = _mm256_castsi256_ps(_mm256_permute2x128_si256(low[i], high[i], 0x20));
    v[4 + i] = _mm256_castsi256_ps(_mm256_permute2x128_si256(low[i], high[i], 0x31));
  }
}

void nchw_to_nhwc_f32(const float* x, int64_t plane, int64_t c, int64_t pixels, int64_t pitch, float* y) {
  for (int64_t p = 0; p < pixels; p += 8) {
    const __m256i some_pixels = first_8(pixels - p);
    for (int64_t k = 0; k < pitch; k += 8) {
      __m256 v[8];
      for (int r = 0; r < 8; ++r)
        v[r] = k + r < c ? _mm256_maskload_ps(x + (k + r) * plane + p, some_pixels) : _mm256_setzero_ps();
      transpose_8x8(v);
      const __m256i some_channels = first_8(pitch - k);
      for (int r = 0; r < smaller(8, pixels - p); ++r)
        _mm256_maskstore_ps(y + (p + r) * pitch + k, some_channels, v[r]);
    }
  }
}

/// 8 pixels of up to 16 channels from plane 0 on -> codes; lane L of out[i] is the 16 channels of pixel 4 L + i.
struct QuantizedBlock {
  CodeRange256 range;
  __m256 divisor;
  uint32_t zero_point;

  /// Four planes -> dword p = codes of pixel p.
  __m256i quad(const float* x, int64_t plane, int64_t channels, __m256i some_pixels) const {
    __m256i q[4];
    for (int r = 0; r < 4; ++r) {
      q[r] = _mm256_setzero_si256();
      if (r < channels) q[r] = range.round_nan(_mm256_div_ps(_mm256_maskload_ps(x + r * plane, some_pixels), divisor));
    }
    const __m256i packed = range.pack(q[0], q[1], q[2], q[3]);
    const __m256i interleaved = _mm256_shuffle_epi8(
        packed, _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)));
    // Padding channels are the zero point even where it lies outside [lo, hi].
    const uint32_t real = channels >= 4 ? ~0u : channels <= 0 ? 0u : (1u << (8 * channels)) - 1;
    const __m256i kept = _mm256_and_si256(interleaved, _mm256_set1_epi32(static_cast<int32_t>(real)));
    return _mm256_or_si256(kept, _mm256_set1_epi32(static_cast<int32_t>(0x01010101u * zero_point & ~real)));
  }

  void load(const float* x, int64_t plane, int64_t channels, __m256i some_pixels, __m256i (&out)[4]) const {
    for (int i = 0; i < 4; ++i) out[i] = quad(x + 4 * i * plane, plane, channels - 4 * i, some_pixels);
    transpose_lanes(out);
  }
};

/// Up to four channels and a pitch of 16: one dword of codes per pixel, then twelve zero points.
void quantize_narrow(const QuantizedBlock& block, const float* x, int64_t plane, int64_t c, int64_t pixels,
                     uint8_t* y) {
  const __m128i padding = _mm_set1_epi8(static_cast<char>(block.zero_point));
  for (int64_t p = 0; p < pixels; p += 8) {
    alignas(32) int32_t codes[8];
    _mm256_store_si256(reinterpret_cast<__m256i*>(codes), block.quad(x + p, plane, c, first_8(pixels - p)));
    for (int64_t i = 0; i < smaller(8, pixels - p); ++i)
      _mm_storeu_si128(reinterpret_cast<__m128i*>(y + 16 * (p + i)),
                       _mm_blend_epi32(padding, _mm_cvtsi32_si128(codes[i]), 1));
  }
}

void nchw_to_nhwc_quantize(const float* x, int64_t plane, int64_t c, int64_t pixels, int64_t pitch, float scale,
                           int32_t zero_point, int32_t lo, int32_t hi, uint8_t* y) {
  const QuantizedBlock block = {CodeRange256(zero_point, lo, hi), _mm256_set1_ps(scale),
                                static_cast<uint32_t>(zero_point)};
  if (c <= 4 && pitch == 16) return quantize_narrow(block, x, plane, c, pixels, y);
  for (int64_t p = 0; p < pixels; p += 8) {
    const __m256i some_pixels = first_8(pixels - p);
    for (int64_t k = 0; k < pitch; k += 16) {
      __m256i v[4];
      block.load(x + k * plane + p, plane, c - k, some_pixels, v);
      alignas(32) uint8_t rows[8][16];  // pixel 4 L + i
      for (int i = 0; i < 4; ++i) {
        _mm_store_si128(reinterpret_cast<__m128i*>(rows[i]), _mm256_castsi256_si128(v[i]));
        _mm_store_si128(reinterpret_cast<__m128i*>(rows[4 + i]), _mm256_extracti128_si256(v[i], 1));
      }
      const size_t bytes = static_cast<size_t>(smaller(16, pitch - k));
      for (int64_t i = 0; i < smaller(8, pixels - p); ++i) __builtin_memcpy(y + (p + i) * pitch + k, rows[i], bytes);
    }
  }
}

void squeeze_f32(const float* x, int64_t plane, int64_t c, int64_t pixels, float* y) {
  int64_t p = 0;
  for (; p + 8 <= pixels; p += 8) {
    __m256i v[4];
    for (int r = 0; r < 4; ++r)
      v[r] = r < c ? _mm256_castps_si256(_mm256_loadu_ps(x + r * plane + p)) : _mm256_setzero_si256();
    transpose_lanes(v);  // lane L of v[i]: the channels of pixel 4 L + i
    for (int i = 0; i < 8; ++i)
      _mm_storeu_si128(reinterpret_cast<__m128i*>(y + (p + i) * c),
                       i < 4 ? _mm256_castsi256_si128(v[i % 4]) : _mm256_extracti128_si256(v[i % 4], 1));
  }
  for (; p < pixels; ++p)
    for (int64_t k = 0; k < c; ++k) y[p * c + k] = x[k * plane + p];
}

/// Through a padded row of codes.
void squeeze_quantize(const float* x, int64_t plane, int64_t c, int64_t pixels, float scale, int32_t zero_point,
                      uint8_t* y) {
  constexpr int64_t k_pixels = 64;
  alignas(32) uint8_t codes[16 * k_pixels];
  for (int64_t p = 0; p < pixels; p += k_pixels) {
    const int64_t n = smaller(k_pixels, pixels - p);
    nchw_to_nhwc_quantize(x + p, plane, c, n, 16, scale, zero_point, 0, 255, codes);
    for (int64_t i = 0; i < n; ++i) __builtin_memcpy(y + (p + i) * c, codes + 16 * i, 4);
  }
}

/// Channel k of pixel p is x[k * channel_step + p * pixel_step]. Byte loads: see lookup_u8 of elementwise.
template <int c>
void look_up(const uint8_t* x, int64_t channel_step, int64_t pixel_step, int64_t pixels, const uint8_t* tables,
             uint8_t* y) {
  for (int64_t p = 0; p < pixels; ++p, x += pixel_step, y += c)
    for (int64_t k = 0; k < c; ++k) y[k] = tables[256 * k + x[k * channel_step]];
}

void look_up_channels(const uint8_t* x, int64_t channel_step, int64_t pixel_step, int64_t c, int64_t pixels,
                      const uint8_t* tables, uint8_t* y) {
  switch (c) {
    case 1: return look_up<1>(x, channel_step, pixel_step, pixels, tables, y);
    case 2: return look_up<2>(x, channel_step, pixel_step, pixels, tables, y);
    case 3: return look_up<3>(x, channel_step, pixel_step, pixels, tables, y);
    default: return look_up<4>(x, channel_step, pixel_step, pixels, tables, y);
  }
}

void squeeze_lookup(const uint8_t* x, int64_t plane, int64_t c, int64_t pixels, const uint8_t* tables, uint8_t* y) {
  look_up_channels(x, plane, 1, c, pixels, tables, y);
}

void lookup_pixels(const uint8_t* x, int64_t c, int64_t pixels, const uint8_t* tables, uint8_t* y) {
  look_up_channels(x, 1, c, c, pixels, tables, y);
}

void nhwc_to_nchw_f32(const float* x, int64_t pitch, int64_t c, int64_t pixels, int64_t plane, float* y) {
  if (pixels == 1 && plane == 1) {
    __builtin_memcpy(y, x, static_cast<size_t>(c) * sizeof(float));
    return;
  }
  for (int64_t k = 0; k < c; k += 8) {
    const __m256i some_channels = first_8(c - k);
    for (int64_t p = 0; p < pixels; p += 8) {
      __m256 v[8];
      for (int r = 0; r < 8; ++r)
        v[r] = p + r < pixels ? _mm256_maskload_ps(x + (p + r) * pitch + k, some_channels) : _mm256_setzero_ps();
      transpose_8x8(v);
      const __m256i some_pixels = first_8(pixels - p);
      for (int r = 0; r < smaller(8, c - k); ++r) _mm256_maskstore_ps(y + (k + r) * plane + p, some_pixels, v[r]);
    }
  }
}

}  // namespace

const LayoutKernels layout_avx2 = {nchw_to_nhwc_f32, nchw_to_nhwc_quantize, squeeze_f32,      squeeze_quantize,
                                   squeeze_lookup,   lookup_pixels,         nhwc_to_nchw_f32, "avx2"};

}  // namespace octet
