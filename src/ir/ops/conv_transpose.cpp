// ConvTranspose over 1, 2 or 3 spatial axes with groups: every input element adds its kernel to the output.
//   y[n,oc,i*stride + k*dilation - pad] += x[n,ic,i] * w[ic,oc,k]
//   out = (in - 1) * stride + output_padding + (kernel - 1) * dilation + 1 - pad_begin - pad_end
// output_shape gives out and asks for the pads that lead to it; SAME_* means out = in * stride. Of an odd total the
// larger half lies behind (SAME_UPPER) or before. Source: ONNX operator ConvTranspose, opset 22. Sums in double, one
// rounding.
#include <algorithm>

#include "ir/ops/common.h"
#include "ir/ops/convolution.h"
#include "ir/ops/fused.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"auto_pad",       "dilations",    "group", "kernel_shape",
                                             "output_padding", "output_shape", "pads",  "strides"};
constexpr int64_t k_largest = std::numeric_limits<int32_t>::max();

/// output_padding or output_shape: one number for each spatial axis.
Result<std::vector<int64_t>> spatial_list(const NodeContext& context, const std::string& key, size_t spatial,
                                          std::vector<int64_t> otherwise) {
  std::vector<int64_t> list = ints_attribute(context.node, key, std::move(otherwise));
  if (list.size() != spatial)
    return context.error(key + "=" + to_string(list) + " has " + std::to_string(list.size()) + " entries, expected " +
                         std::to_string(spatial));
  for (const int64_t v : list)
    if (v < 0 || v > k_largest) return context.error(key + " holds " + std::to_string(v));
  return list;
}

/// Numbers of every spatial axis that do not depend on x.
struct Geometry {
  WindowAttributes window;
  std::vector<int64_t> output_padding, output_shape;  // output_shape: empty when it is not given
};

Result<Geometry> geometry_of(const NodeContext& context, size_t spatial) {
  Result<WindowAttributes> window = window_attributes(context, spatial);
  if (!window) return window.error();
  Geometry made{std::move(*window), {}, {}};
  Result<std::vector<int64_t>> padding =
      spatial_list(context, "output_padding", spatial, std::vector<int64_t>(spatial, 0));
  if (!padding) return padding.error();
  made.output_padding = std::move(*padding);
  if (has_attribute(context.node, "output_shape")) {
    Result<std::vector<int64_t>> shape = spatial_list(context, "output_shape", spatial, {});
    if (!shape) return shape.error();
    made.output_shape = std::move(*shape);
  }
  return made;
}

/// The axis with `out` and the pads; in and out as the forward convolution of the same geometry would have them
/// swapped.
Result<WindowAxis> axis_of(const NodeContext& context, const Geometry& g, size_t i, int64_t kernel, int64_t in) {
  WindowAxis axis{.in = in,
                  .kernel = kernel,
                  .stride = g.window.strides[i],
                  .dilation = g.window.dilations[i],
                  .pad_begin = 0,
                  .pad_end = 0};
  const int64_t full = (in - 1) * axis.stride + g.output_padding[i] + (kernel - 1) * axis.dilation + 1;
  const AutoPad mode = g.window.auto_pad;
  const bool same = mode == AutoPad::same_upper || mode == AutoPad::same_lower;
  if (same || !g.output_shape.empty()) {
    axis.out = g.output_shape.empty() ? in * axis.stride : g.output_shape[i];
    const int64_t total = std::max<int64_t>(full - axis.out, 0);
    axis.pad_begin = mode == AutoPad::same_upper ? total / 2 : total - total / 2;
    axis.pad_end = total - axis.pad_begin;
  } else {
    if (mode == AutoPad::explicit_pads) {
      axis.pad_begin = g.window.pads_begin[i];
      axis.pad_end = g.window.pads_end[i];
    }
    axis.out = full - axis.pad_begin - axis.pad_end;
  }
  if (in < 1 || kernel < 1 || axis.out < 0)
    return context.error("spatial axis " + std::to_string(i) + " of extent " + std::to_string(in) + " and kernel " +
                         std::to_string(kernel) + " gives an output of " + std::to_string(axis.out));
  return axis;
}

Result<Done> check(const NodeContext& context, const Shape& x, const Shape& w, int64_t group) {
  if (w.size() != x.size())
    return context.error("weight " + to_string(w) + " has rank " + std::to_string(w.size()) + ", expected " +
                         std::to_string(x.size()) + " as the input " + to_string(x));
  if (group < 1) return context.error("group is " + std::to_string(group) + ", expected at least 1");
  if (x[1].known() && w[0].known() && x[1].value != w[0].value)
    return context.error("input " + to_string(x) + " has " + std::to_string(x[1].value) + " channels, but weight " +
                         to_string(w) + " takes " + std::to_string(w[0].value));
  if (w[0].known() && w[0].value % group != 0)
    return context.error("weight " + to_string(w) + " has input channels that group=" + std::to_string(group) +
                         " does not divide");
  if (!has_attribute(context.node, "kernel_shape")) return Done{};
  Result<std::vector<int64_t>> kernel = kernel_shape(context, x.size() - 2);
  if (!kernel) return kernel.error();
  for (size_t i = 0; i < kernel->size(); ++i)
    if (w[i + 2].known() && w[i + 2].value != (*kernel)[i])
      return context.error("kernel_shape=" + to_string(*kernel) + ", but the weight is " + to_string(w));
  return Done{};
}

Result<ValueTypes> infer(const NodeContext& context) {
  if (Result<Done> ok = require_float(context, 0); !ok) return ok.error();
  for (size_t i = 1; i < context.input_count(); ++i)
    if (context.has_input(i))
      if (Result<Done> ok = require_same_dtype(context, 0, i); !ok) return ok.error();
  if (!context.shape(0) || !context.shape(1)) return typed(context);
  const Shape &x = *context.shape(0), &w = *context.shape(1);
  Result<size_t> spatial = spatial_rank(context, x.size());
  if (!spatial) return spatial.error();
  const int64_t group = int_attribute(context.node, "group", 1);
  if (Result<Done> ok = check(context, x, w, group); !ok) return ok.error();
  Result<Geometry> g = geometry_of(context, *spatial);
  if (!g) return g.error();
  Shape y = {x[0], w[1].known() && w[1].value <= k_largest && group <= k_largest ? Dim(w[1].value * group) : Dim()};
  for (size_t i = 0; i < *spatial; ++i) {
    if (!g->output_shape.empty()) {
      y.push_back(Dim(g->output_shape[i]));
    } else if (x[i + 2].known() && w[i + 2].known() && x[i + 2].value <= k_largest && w[i + 2].value <= k_largest) {
      Result<WindowAxis> axis = axis_of(context, *g, i, w[i + 2].value, x[i + 2].value);
      if (!axis) return axis.error();
      y.push_back(Dim(axis->out));
    } else {
      y.push_back(Dim());
    }
  }
  if (context.has_input(2))
    if (Result<Done> ok = require_channels(context, 2, context.shape(2), y[1]); !ok) return ok.error();
  return typed(context, std::move(y));
}

/// plane += x's plane spread by the taps of one input and one output channel.
void spread(const WindowAxes& axes, const double* x, const double* w, double* plane) {
  const auto& [d, h, r] = axes;
  for (int64_t id = 0; id < d.in; ++id)
    for (int64_t ih = 0; ih < h.in; ++ih)
      for (int64_t iw = 0; iw < r.in; ++iw) {
        const double v = x[(id * h.in + ih) * r.in + iw];
        for (int64_t kd = 0; kd < d.kernel; ++kd) {
          const int64_t od = id * d.stride + kd * d.dilation - d.pad_begin;
          if (od < 0 || od >= d.out) continue;
          for (int64_t kh = 0; kh < h.kernel; ++kh) {
            const int64_t oh = ih * h.stride + kh * h.dilation - h.pad_begin;
            if (oh < 0 || oh >= h.out) continue;
            for (int64_t kw = 0; kw < r.kernel; ++kw) {
              const int64_t ow = iw * r.stride + kw * r.dilation - r.pad_begin;
              if (ow < 0 || ow >= r.out) continue;
              plane[(od * h.out + oh) * r.out + ow] += v * w[(kd * h.kernel + kh) * r.kernel + kw];
            }
          }
        }
      }
}

Result<Tensors> reference(const NodeContext& context, std::span<const Tensor> inputs) {
  const Dims &xd = inputs[0].dims(), &wd = inputs[1].dims();
  const int64_t group = int_attribute(context.node, "group", 1);
  Result<size_t> spatial = spatial_rank(context, xd.size());
  if (!spatial) return spatial.error();
  if (Result<Done> ok = check(context, to_shape(xd), to_shape(wd), group); !ok) return ok.error();
  Result<Geometry> g = geometry_of(context, *spatial);
  if (!g) return g.error();
  Dims y_dims = {xd[0], wd[1] * group};
  WindowAxes axes;
  for (size_t i = 0; i < *spatial; ++i) {
    Result<WindowAxis> axis = axis_of(context, *g, i, wd[i + 2], xd[i + 2]);
    if (!axis) return axis.error();
    axes[3 - *spatial + i] = *axis;
    y_dims.push_back(axis->out);
  }
  if (!element_count(y_dims)) return context.error("output " + to_string(y_dims) + " is too large");
  Result<std::vector<float>> bias = channel_values(context, inputs, 2, y_dims[1]);
  if (!bias) return bias.error();
  const std::vector<double> x = to_doubles(inputs[0]), w = to_doubles(inputs[1]);
  const int64_t in_plane = axes[0].in * axes[1].in * axes[2].in, out_plane = axes[0].out * axes[1].out * axes[2].out;
  const int64_t taps = axes[0].kernel * axes[1].kernel * axes[2].kernel;
  std::vector<double> y(static_cast<size_t>(*element_count(y_dims)));
  for (int64_t n = 0; n < xd[0]; ++n)
    for (int64_t oc = 0; oc < y_dims[1]; ++oc) {
      double* plane = y.data() + (n * y_dims[1] + oc) * out_plane;
      std::fill_n(plane, out_plane, bias->empty() ? 0.0 : static_cast<double>((*bias)[static_cast<size_t>(oc)]));
      const int64_t per_group = xd[1] / group, first = oc / wd[1] * per_group;
      for (int64_t ic = first; ic < first + per_group; ++ic)
        spread(axes, x.data() + (n * xd[1] + ic) * in_plane, w.data() + (ic * wd[1] + oc % wd[1]) * taps, plane);
    }
  return from_doubles(context, inputs[0].dtype(), y_dims, y);
}

}  // namespace

const OpDef conv_transpose_op = {
    .name = "ConvTranspose",
    .min_inputs = 2,
    .max_inputs = 3,
    .attributes = k_attributes,
    .infer = infer,
    .reference = reference,
};

}  // namespace octet
