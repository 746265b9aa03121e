// The judge of the depthwise family: one output at a time.

#include <cmath>

#include "kernels/depthwise/depthwise_isa.h"
#include "kernels/scalar_inline.h"

namespace octet {
namespace {

/// Calls visit(tap, row, column) for each tap inside the image, in the order kh, kw.
template <class Visit>
void for_each_tap(const DepthwiseGeometry& g, int64_t oy, int64_t ox, Visit visit) {
  for (int64_t kh = 0; kh < g.kh; ++kh) {
    const int64_t iy = oy * g.stride_h - g.pad_top + kh * g.dilation_h;
    if (iy < 0 || iy >= g.ih) continue;
    for (int64_t kw = 0; kw < g.kw; ++kw) {
      const int64_t ix = ox * g.stride_w - g.pad_left + kw * g.dilation_w;
      if (ix >= 0 && ix < g.iw) visit(kh * g.kw + kw, iy, ix);
    }
  }
}

/// bias already holds -x_zero_point * sum of all taps, so a tap outside the image adds x_zero_point * w.
int32_t accumulate(const DepthwiseU8S8Call& call, int64_t oy, int64_t ox, int64_t c) {
  const DepthwiseGeometry& g = *call.geometry;
  const int8_t* weights = call.weights + c * g.kh * g.kw;
  int32_t acc = call.bias[c];
  for (int64_t tap = 0; tap < g.kh * g.kw; ++tap) acc += call.x_zero_point * weights[tap];
  for_each_tap(g, oy, ox, [&](int64_t tap, int64_t iy, int64_t ix) {
    acc += (call.x[(iy * g.x_width + ix) * g.x_pitch + c] - call.x_zero_point) * weights[tap];
  });
  return acc;
}

void run_u8s8(const DepthwiseU8S8Call& call) {
  const DepthwiseGeometry& g = *call.geometry;
  for (int64_t oy = call.oy_begin; oy < call.oy_end; ++oy) {
    for (int64_t ox = 0; ox < g.ow; ++ox) {
      const int64_t pixel = oy * g.y_width + ox;
      for (int64_t c = call.block_begin; c < call.block_end; ++c) {
        const float acc = static_cast<float>(accumulate(call, oy, ox, c));
        float v = acc * call.multiplier[c];
        if (call.residual) {
          const int32_t r = call.residual[pixel * g.residual_pitch + c] - call.residual_zero_point;
          v = std::fma(acc, call.multiplier[c], static_cast<float>(r) * call.residual_multiplier);
        }
        if (call.y)
          call.y[pixel * g.y_pitch + c] = code_from_f32(v, call.y_zero_point, call.lo, call.hi);
        else
          call.v[((oy - call.oy_begin) * g.y_width + ox) * call.v_pitch + c - call.block_begin] = v;
      }
    }
  }
}

void run_f32(const DepthwiseF32Call& call) {
  const DepthwiseGeometry& g = *call.geometry;
  const int64_t weight_pitch = channel_pitch(g.ic);
  for (int64_t oy = call.oy_begin; oy < call.oy_end; ++oy) {
    for (int64_t ox = 0; ox < g.ow; ++ox) {
      for (int64_t c = call.c_begin; c < call.c_end; ++c) {
        float v = call.bias[c];
        for_each_tap(g, oy, ox, [&](int64_t tap, int64_t iy, int64_t ix) {
          const int64_t at = iy % call.x_rows * g.x_width + ix;
          v = std::fma(call.x[at * g.x_pitch + c], call.weights[tap * weight_pitch + c], v);
        });
        if (call.residual) v += call.residual[(oy * g.y_width + ox) * g.residual_pitch + c];
        v = call.lo > v ? call.lo : v;
        call.y[((oy - call.oy_begin) * g.y_width + ox) * g.y_pitch + c] = call.hi < v ? call.hi : v;
      }
    }
  }
}

// A block of one channel and natural order: the weights stay as they came.
constexpr DepthwiseU8S8Kernel k_u8s8[] = {{{0, 0, 0, 1, 1, 1, 4, false}, run_u8s8}};

}  // namespace

bool depthwise_likes_no_lattice(const WindowGeometry&) { return false; }

const DepthwiseKernels depthwise_scalar = {{1, 1, k_u8s8, 1, "scalar"},
                                           {run_f32, "scalar", depthwise_likes_no_lattice}};

}  // namespace octet
