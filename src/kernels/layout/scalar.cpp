// The judge of the layout family.

#include "kernels/layout/layout_isa.h"
#include "kernels/scalar_inline.h"

namespace octet {
namespace {

void nchw_to_nhwc_f32(const float* x, int64_t plane, int64_t c, int64_t pixels, int64_t pitch, float* y) {
  for (int64_t p = 0; p < pixels; ++p)
    for (int64_t k = 0; k < pitch; ++k) y[p * pitch + k] = k < c ? x[k * plane + p] : 0.0f;
}

void nchw_to_nhwc_quantize(const float* x, int64_t plane, int64_t c, int64_t pixels, int64_t pitch, float scale,
                           int32_t zero_point, int32_t lo, int32_t hi, uint8_t* y) {
  for (int64_t p = 0; p < pixels; ++p)
    for (int64_t k = 0; k < pitch; ++k)
      y[p * pitch + k] =
          k < c ? code_from_f32(x[k * plane + p] / scale, zero_point, lo, hi) : static_cast<uint8_t>(zero_point);
}

void squeeze_f32(const float* x, int64_t plane, int64_t c, int64_t pixels, float* y) {
  nchw_to_nhwc_f32(x, plane, c, pixels, c, y);
}

void squeeze_quantize(const float* x, int64_t plane, int64_t c, int64_t pixels, float scale, int32_t zero_point,
                      uint8_t* y) {
  nchw_to_nhwc_quantize(x, plane, c, pixels, c, scale, zero_point, 0, 255, y);
}

void squeeze_lookup(const uint8_t* x, int64_t plane, int64_t c, int64_t pixels, const uint8_t* tables, uint8_t* y) {
  for (int64_t p = 0; p < pixels; ++p)
    for (int64_t k = 0; k < c; ++k) y[p * c + k] = tables[256 * k + x[k * plane + p]];
}

void lookup_pixels(const uint8_t* x, int64_t c, int64_t pixels, const uint8_t* tables, uint8_t* y) {
  for (int64_t i = 0; i < c * pixels; ++i) y[i] = tables[256 * (i % c) + x[i]];
}

void nhwc_to_nchw_f32(const float* x, int64_t pitch, int64_t c, int64_t pixels, int64_t plane, float* y) {
  for (int64_t k = 0; k < c; ++k)
    for (int64_t p = 0; p < pixels; ++p) y[k * plane + p] = x[p * pitch + k];
}

}  // namespace

const LayoutKernels layout_scalar = {nchw_to_nhwc_f32, nchw_to_nhwc_quantize, squeeze_f32,      squeeze_quantize,
                                     squeeze_lookup,   lookup_pixels,         nhwc_to_nchw_f32, "scalar"};

}  // namespace octet
