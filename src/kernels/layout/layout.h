#pragma once
// Between the caller's dense NCHW and octet's NHWC with channel pitch, per image and per row of pixels.

#include <stddef.h>
#include <stdint.h>

#include "base/isa.h"

namespace octet {

struct LayoutKernels {
  /// pixels consecutive pixels of one image: plane c starts at x + c*plane. Padding channels up to pitch are zeroed.
  void (*nchw_to_nhwc_f32)(const float* x, int64_t plane, int64_t c, int64_t pixels, int64_t pitch, float* y);
  /// The same with ONNX QuantizeLinear on the way (u8 domain); padding channels get zero_point.
  void (*nchw_to_nhwc_quantize)(const float* x, int64_t plane, int64_t c, int64_t pixels, int64_t pitch, float scale,
                                int32_t zero_point, int32_t lo, int32_t hi, uint8_t* y);
  void (*nhwc_to_nchw_f32)(const float* x, int64_t pitch, int64_t c, int64_t pixels, int64_t plane, float* y);
  const char* name;
};
LayoutKernels layout_kernels(Isa isa);

}  // namespace octet
