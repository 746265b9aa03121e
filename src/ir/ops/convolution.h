#pragma once
// What Conv, FusedConv and QuantConv share: shape checks and the plain loops.

#include <vector>

#include "ir/ops/window.h"

namespace octet {

/// Everything a convolution's loops need; all extents known.
struct ConvGeometry {
  int64_t batch = 0, ic = 0, oc = 0, groups = 1;
  WindowAxes axes;
  Dims y_dims;

  int64_t in_plane() const { return axes[0].in * axes[1].in * axes[2].in; }
  int64_t out_plane() const { return axes[0].out * axes[1].out * axes[2].out; }
  int64_t taps() const { return axes[0].kernel * axes[1].kernel * axes[2].kernel; }
};

inline constexpr std::string_view k_conv_attributes[] = {"auto_pad",     "dilations", "group",
                                                         "kernel_shape", "pads",      "strides"};

/// Shape of y for x [N,C,...] and w [OC,C/group,...]; nothing while a rank is unknown. Errors name the contradiction.
Result<std::optional<Shape>> conv_shape(const NodeContext& context, const std::optional<Shape>& x,
                                        const std::optional<Shape>& w);
/// An Error when input i (a bias or per-channel scale) is there and is not [channels].
Result<Done> require_channels(const NodeContext& context, size_t i, const std::optional<Shape>& shape,
                              const Dim& channels);
/// An Error when input i (a residual) is there and contradicts y.
Result<Done> require_shape(const NodeContext& context, size_t i, const std::optional<Shape>& shape, const Shape& y);
/// The same checks on tensors, and the loops' numbers.
Result<ConvGeometry> conv_geometry(const NodeContext& context, const Tensor& x, const Tensor& w);

/// plane[o] += sum over ic, taps of x * w for one image and one output channel. x: the first of the group's channels;
/// w: the output channel's weights. Accumulates in Acc; padding adds nothing.
template <class X, class W, class Acc>
void convolve_plane(const ConvGeometry& g, const X* x, const W* w, std::vector<Acc>& plane) {
  const auto& [d, h, r] = g.axes;  // depth, height, row
  for (int64_t c = 0; c < g.ic / g.groups; ++c, x += g.in_plane()) {
    for (int64_t kd = 0; kd < d.kernel; ++kd) {
      for (int64_t kh = 0; kh < h.kernel; ++kh) {
        for (int64_t kw = 0; kw < r.kernel; ++kw) {
          const Acc weight = *w++;
          const auto [d0, d1] = outputs_of_tap(d, kd);
          const auto [h0, h1] = outputs_of_tap(h, kh);
          const auto [w0, w1] = outputs_of_tap(r, kw);
          const int64_t shift = kw * r.dilation - r.pad_begin;
          for (int64_t od = d0; od < d1; ++od) {
            const int64_t id = od * d.stride - d.pad_begin + kd * d.dilation;
            for (int64_t oh = h0; oh < h1; ++oh) {
              const int64_t ih = oh * h.stride - h.pad_begin + kh * h.dilation;
              const X* row = x + (id * h.in + ih) * r.in;
              Acc* out = plane.data() + (od * h.out + oh) * r.out;
              for (int64_t ow = w0; ow < w1; ++ow) out[ow] += weight * static_cast<Acc>(row[ow * r.stride + shift]);
            }
          }
        }
      }
    }
  }
}

}  // namespace octet
