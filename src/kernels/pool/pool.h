#pragma once
// Pooling on NHWC. Geometry: ic = oc = C. Rows of outputs are independent: oy in [0, oh) of image n.

#include <stddef.h>
#include <stdint.h>

#include "base/isa.h"
#include "kernels/conventions.h"

namespace octet {

struct AveragePoolU8Params {
  int32_t x_zero_point, y_zero_point, lo, hi;
  double x_scale, y_scale;    // m = (float)(x_scale / (y_scale * count))
  bool count_include_pad;     // count = kh*kw, else the elements inside the image
};

struct PoolKernels {
  /// One output row of one image: x = first pixel of the image, y = first pixel of the output row.
  void (*max_u8_row)(const WindowGeometry& g, const uint8_t* x, int64_t oy, uint8_t* y);
  void (*max_f32_row)(const WindowGeometry& g, const float* x, int64_t oy, float* y);
  void (*average_u8_row)(const WindowGeometry& g, const AveragePoolU8Params& p, const uint8_t* x, int64_t oy, uint8_t* y);
  void (*average_f32_row)(const WindowGeometry& g, bool count_include_pad, const float* x, int64_t oy, float* y);
  /// All pixels of one image to one pixel of C channels: acc = sum (x - zx), plain requantize with `multiplier`.
  void (*global_average_u8)(const uint8_t* x, int64_t pixels, int64_t c, int64_t pitch, int32_t x_zero_point, float multiplier,
                            int32_t y_zero_point, int32_t lo, int32_t hi, uint8_t* y);
  void (*global_average_f32)(const float* x, int64_t pixels, int64_t c, int64_t pitch, float* y);
  const char* name;
};
PoolKernels pool_kernels(Isa isa);

}  // namespace octet
