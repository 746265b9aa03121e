// The judge of the pooling family: one output at a time, the window's taps in the order kh, kw.

#include <algorithm>
#include <limits>

#include "kernels/pool/pool_isa.h"
#include "kernels/scalar_inline.h"
#include "tensor/half.h"

namespace octet {
namespace {

/// Calls visit(first channel of the tap's pixel) for each tap inside the image; returns how many there were.
template <class T, class Visit>
int64_t for_each_tap(const WindowGeometry& g, const T* x, int64_t oy, int64_t ox, Visit visit) {
  int64_t inside = 0;
  for (int64_t kh = 0; kh < g.kh; ++kh) {
    const int64_t iy = oy * g.stride_h - g.pad_top + kh * g.dilation_h;
    if (iy < 0 || iy >= g.ih) continue;
    for (int64_t kw = 0; kw < g.kw; ++kw) {
      const int64_t ix = ox * g.stride_w - g.pad_left + kw * g.dilation_w;
      if (ix < 0 || ix >= g.iw) continue;
      visit(x + (iy * g.iw + ix) * g.x_pitch);
      ++inside;
    }
  }
  return inside;
}

/// At least 1, so that a window wholly in the padding divides 0 by 1.
int64_t divisor(const WindowGeometry& g, bool count_include_pad, int64_t inside) {
  return std::max<int64_t>(count_include_pad ? g.kh * g.kw : inside, 1);
}

template <class T>
void max_row(const WindowGeometry& g, const T* x, int64_t oy, T* y, T lowest) {
  for (int64_t ox = 0; ox < g.ow; ++ox) {
    for (int64_t c = 0; c < g.ic; ++c) {
      T m = lowest;
      for_each_tap(g, x, oy, ox, [&](const T* pixel) { m = pixel[c] > m ? pixel[c] : m; });
      y[ox * g.y_pitch + c] = m;
    }
  }
}

void max_u8_row(const WindowGeometry& g, const uint8_t* x, int64_t oy, uint8_t* y) { max_row<uint8_t>(g, x, oy, y, 0); }

void max_f32_row(const WindowGeometry& g, const float* x, int64_t oy, float* y) {
  max_row<float>(g, x, oy, y, -std::numeric_limits<float>::infinity());
}

void max_bf16_row(const WindowGeometry& g, const uint16_t* x, int64_t oy, uint16_t* y) {
  for (int64_t ox = 0; ox < g.ow; ++ox) {
    for (int64_t c = 0; c < g.ic; ++c) {
      uint16_t m = 0xff80;  // -inf
      for_each_tap(g, x, oy, ox, [&](const uint16_t* pixel) {
        m = bfloat16_to_float(pixel[c]) > bfloat16_to_float(m) ? pixel[c] : m;
      });
      y[ox * g.y_pitch + c] = m;
    }
  }
}

/// finish(sum of a channel, elements in the window): its output.
template <class Y, class F>
void average_codes_row(const WindowGeometry& g, const AveragePoolU8Params& p, const uint8_t* x, int64_t oy, Y* y,
                       F finish) {
  for (int64_t ox = 0; ox < g.ow; ++ox) {
    for (int64_t c = 0; c < g.ic; ++c) {
      int32_t acc = 0;
      const int64_t inside =
          for_each_tap(g, x, oy, ox, [&](const uint8_t* pixel) { acc += pixel[c] - p.x_zero_point; });
      y[ox * g.y_pitch + c] = finish(acc, static_cast<double>(divisor(g, p.count_include_pad, inside)));
    }
  }
}

void average_u8_row(const WindowGeometry& g, const AveragePoolU8Params& p, const uint8_t* x, int64_t oy, uint8_t* y) {
  average_codes_row(g, p, x, oy, y, [&p](int32_t acc, double count) {
    const float multiplier = static_cast<float>(p.x_scale / (p.y_scale * count));
    return code_from_f32(static_cast<float>(acc) * multiplier, p.y_zero_point, p.lo, p.hi);
  });
}

void average_u8_to_f32_row(const WindowGeometry& g, const AveragePoolU8Params& p, const uint8_t* x, int64_t oy,
                           float* y) {
  average_codes_row(g, p, x, oy, y, [&p](int32_t acc, double count) {
    return static_cast<float>(acc) * static_cast<float>(p.x_scale / count);
  });
}

void average_f32_row(const WindowGeometry& g, bool count_include_pad, const float* x, int64_t oy, float* y) {
  for (int64_t ox = 0; ox < g.ow; ++ox) {
    for (int64_t c = 0; c < g.ic; ++c) {
      float sum = 0.0f;
      const int64_t inside = for_each_tap(g, x, oy, ox, [&](const float* pixel) { sum += pixel[c]; });
      y[ox * g.y_pitch + c] = sum / static_cast<float>(divisor(g, count_include_pad, inside));
    }
  }
}

int32_t sum_of_pixels(const uint8_t* x, int64_t pixels, int64_t pitch, int32_t x_zero_point) {
  int32_t acc = 0;
  for (int64_t p = 0; p < pixels; ++p) acc += x[p * pitch] - x_zero_point;
  return acc;
}

void global_average_u8(const uint8_t* x, int64_t pixels, int64_t c, int64_t pitch, int32_t x_zero_point,
                       float multiplier, int32_t y_zero_point, int32_t lo, int32_t hi, uint8_t* y) {
  for (int64_t k = 0; k < c; ++k) {
    const int32_t acc = sum_of_pixels(x + k, pixels, pitch, x_zero_point);
    y[k] = code_from_f32(static_cast<float>(acc) * multiplier, y_zero_point, lo, hi);
  }
}

void global_average_u8_to_f32(const uint8_t* x, int64_t pixels, int64_t c, int64_t pitch, int32_t x_zero_point,
                              float multiplier, float* y) {
  for (int64_t k = 0; k < c; ++k)
    y[k] = static_cast<float>(sum_of_pixels(x + k, pixels, pitch, x_zero_point)) * multiplier;
}

void global_average_f32(const float* x, int64_t pixels, int64_t c, int64_t pitch, float* y) {
  for (int64_t k = 0; k < c; ++k) {
    float sum = 0.0f;
    for (int64_t p = 0; p < pixels; ++p) sum += x[p * pitch + k];
    y[k] = sum / static_cast<float>(pixels);
  }
}

}  // namespace

const PoolKernels pool_scalar = {max_u8_row,
                                 max_f32_row,
                                 max_bf16_row,
                                 average_u8_row,
                                 average_u8_to_f32_row,
                                 average_f32_row,
                                 global_average_u8,
                                 global_average_u8_to_f32,
                                 global_average_f32,
                                 "scalar"};

}  // namespace octet
