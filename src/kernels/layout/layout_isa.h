#pragma once
// The layout family's functions, one set per ISA. C headers only: ISA files include this.

#include <stddef.h>
#include <stdint.h>

namespace octet {

/// x and y may not overlap. Of each NHWC pixel, nchw_to_nhwc writes exactly `pitch` elements, and nhwc_to_nchw reads
/// the first c; of each plane exactly `pixels` elements are touched.
struct LayoutKernels {
  /// pixels consecutive pixels of one image: plane c starts at x + c*plane. Padding channels up to pitch are zeroed.
  void (*nchw_to_nhwc_f32)(const float* x, int64_t plane, int64_t c, int64_t pixels, int64_t pitch, float* y);
  /// The same with ONNX QuantizeLinear on the way (u8 domain); padding channels get zero_point.
  void (*nchw_to_nhwc_quantize)(const float* x, int64_t plane, int64_t c, int64_t pixels, int64_t pitch, float scale,
                                int32_t zero_point, int32_t lo, int32_t hi, uint8_t* y);
  /// The same for c <= 4 without padding channels: pixel p starts at y + p*c. Up to 3 elements behind the last pixel
  /// may be overwritten.
  void (*squeeze_f32)(const float* x, int64_t plane, int64_t c, int64_t pixels, float* y);
  void (*squeeze_quantize)(const float* x, int64_t plane, int64_t c, int64_t pixels, float scale, int32_t zero_point,
                           uint8_t* y);
  /// The same of pixels of u8, through a table of 256 codes for each channel, one behind the other.
  void (*squeeze_lookup)(const uint8_t* x, int64_t plane, int64_t c, int64_t pixels, const uint8_t* tables, uint8_t* y);
  /// The same of pixels that lie one after the other already, c channels each: every one of the c * pixels bytes
  /// through its channel's table.
  void (*lookup_pixels)(const uint8_t* x, int64_t c, int64_t pixels, const uint8_t* tables, uint8_t* y);
  void (*nhwc_to_nchw_f32)(const float* x, int64_t pitch, int64_t c, int64_t pixels, int64_t plane, float* y);
  const char* name;
};

extern const LayoutKernels layout_scalar;
extern const LayoutKernels layout_avx2;
extern const LayoutKernels layout_avx512_vnni;

}  // namespace octet
