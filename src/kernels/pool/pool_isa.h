#pragma once
// The pooling family's functions, one set per ISA. C headers only: ISA files include this.

#include <stddef.h>
#include <stdint.h>

#include "kernels/conventions.h"

namespace octet {

struct AveragePoolU8Params {
  int32_t x_zero_point, y_zero_point, lo, hi;
  double x_scale, y_scale;  // m = (float)(x_scale / (y_scale * count))
  bool count_include_pad;   // count = kh*kw, else the elements inside the image
};

/// Geometry: ic = oc = C. Only C channels of each pixel are written, whatever the pitch. A window that lies wholly in
/// the padding gives code 0 or -inf (max) and the real value 0 (average).
struct PoolKernels {
  /// One output row of one image: x = first pixel of the image, y = first pixel of the output row.
  void (*max_u8_row)(const WindowGeometry& g, const uint8_t* x, int64_t oy, uint8_t* y);
  /// m = -inf, then m = v > m ? v : m in the order kh, kw: a NaN is skipped.
  void (*max_f32_row)(const WindowGeometry& g, const float* x, int64_t oy, float* y);
  /// The same of bfloat16 numbers.
  void (*max_bf16_row)(const WindowGeometry& g, const uint16_t* x, int64_t oy, uint16_t* y);
  void (*average_u8_row)(const WindowGeometry& g, const AveragePoolU8Params& p, const uint8_t* x, int64_t oy,
                         uint8_t* y);
  /// The same in f32: (float)sum * (float)(x_scale / count). Of p the zero point and scale of x and the count are read.
  void (*average_u8_to_f32_row)(const WindowGeometry& g, const AveragePoolU8Params& p, const uint8_t* x, int64_t oy,
                                float* y);
  /// (0 + v0 + v1 + ...) / count, added in the order kh, kw.
  void (*average_f32_row)(const WindowGeometry& g, bool count_include_pad, const float* x, int64_t oy, float* y);
  /// All pixels of one image to one pixel of C channels: acc = sum (x - zx), plain requantize with `multiplier`.
  void (*global_average_u8)(const uint8_t* x, int64_t pixels, int64_t c, int64_t pitch, int32_t x_zero_point,
                            float multiplier, int32_t y_zero_point, int32_t lo, int32_t hi, uint8_t* y);
  /// y = (float)acc * multiplier of the same sums.
  void (*global_average_u8_to_f32)(const uint8_t* x, int64_t pixels, int64_t c, int64_t pitch, int32_t x_zero_point,
                                   float multiplier, float* y);
  /// (0 + v0 + v1 + ...) / pixels, added in the order of the pixels.
  void (*global_average_f32)(const float* x, int64_t pixels, int64_t c, int64_t pitch, float* y);
  const char* name;
};

extern const PoolKernels pool_scalar;
extern const PoolKernels pool_avx2;
extern const PoolKernels pool_avx512_vnni;

}  // namespace octet
