// Convolutions, products, pools and normalizations.
#include "ir/ops/window.h"
#include "train/convert.h"
#include "train/graph_ops.h"
#include "train/synced_batch_norm.h"

namespace octet::nn {
namespace {

using torch::Tensor;
using Ints = std::vector<int64_t>;

/// A window on each spatial axis of x, checked and with auto_pad resolved.
struct Windows {
  Ints kernel, stride, dilation, begin, end, out;
  std::vector<WindowAxis> axes;
  bool symmetric = true, padded = false;
};

Windows windows(const OpRun& run, const Tensor& x, const Ints& kernel) {
  const size_t spatial = kernel.size();
  const WindowAttributes attributes = value_or_throw(window_attributes(run.context(), spatial));
  Windows w;
  for (size_t i = 0; i < spatial; ++i) {
    const WindowAxis axis =
        value_or_throw(window_axis(run.context(), attributes, i, kernel[i], x.size(static_cast<int64_t>(i) + 2)));
    w.axes.push_back(axis);
    w.kernel.push_back(axis.kernel);
    w.stride.push_back(axis.stride);
    w.dilation.push_back(axis.dilation);
    w.begin.push_back(axis.pad_begin);
    w.end.push_back(axis.pad_end);
    w.out.push_back(axis.out);
    w.symmetric = w.symmetric && axis.pad_begin == axis.pad_end;
    w.padded = w.padded || axis.pad_begin || axis.pad_end;
  }
  return w;
}

/// Last axis first, as constant_pad_nd counts.
Tensor padded(const Tensor& x, const Ints& begin, const Ints& end, double value) {
  Ints pads;
  for (size_t i = begin.size(); i-- > 0;) {
    pads.push_back(begin[i]);
    pads.push_back(end[i]);
  }
  return torch::constant_pad_nd(x, pads, value);
}

/// What must follow the input so that exactly the outputs of the window exist: negative where the end is never read.
Ints needed_end(const Windows& w) {
  Ints end;
  for (const WindowAxis& a : w.axes)
    end.push_back((a.out - 1) * a.stride + (a.kernel - 1) * a.dilation + 1 - a.in - a.pad_begin);
  return end;
}

Ints kernel_of(const OpRun& run) {
  return value_or_throw(kernel_shape(run.context(), static_cast<size_t>(run.in[0].dim() - 2)));
}

Tensor optional(const OpRun& run, size_t i) { return run.has(i) ? run.in[i] : Tensor(); }

Values conv(const OpRun& run) {
  Tensor x = run.in[0];
  const Tensor& w = run.in[1];
  const Windows win = windows(run, x, w.sizes().slice(2).vec());
  Ints pads = win.begin;
  if (!win.symmetric) {
    x = padded(x, win.begin, win.end, 0.0);
    std::fill(pads.begin(), pads.end(), 0);
  }
  return {torch::convolution(x, w, optional(run, 2), win.stride, pads, win.dilation, false, Ints(pads.size(), 0),
                             int_attribute(run.node, "group", 1))};
}

/// Pads are taken off the full product: y of the reference has out = (in-1)*stride + extra + span - pads.
Values conv_transpose(const OpRun& run) {
  const Tensor &x = run.in[0], &w = run.in[1];
  const auto spatial = static_cast<size_t>(x.dim() - 2);
  if (has_attribute(run.node, "output_shape") || string_attribute(run.node, "auto_pad", "NOTSET") != "NOTSET")
    run.fail("output_shape and auto_pad of a ConvTranspose are not trainable; write explicit pads");
  const Ints strides = ints_attribute(run.node, "strides", Ints(spatial, 1));
  const Ints dilations = ints_attribute(run.node, "dilations", Ints(spatial, 1));
  const Ints pads = ints_attribute(run.node, "pads", Ints(2 * spatial, 0));
  const Ints extra = ints_attribute(run.node, "output_padding", Ints(spatial, 0));
  Ints begin(pads.begin(), pads.begin() + static_cast<std::ptrdiff_t>(spatial)), cut(spatial, 0);
  bool uneven = false;
  for (size_t i = 0; i < spatial; ++i) {
    cut[i] = begin[i] - pads[spatial + i];  // negative: take from the end
    uneven = uneven || cut[i] != 0;
  }
  Ints both = begin;
  if (uneven) std::fill(both.begin(), both.end(), 0);
  Tensor y = torch::convolution(x, w, optional(run, 2), strides, both, dilations, true, extra,
                                int_attribute(run.node, "group", 1));
  if (uneven)
    for (size_t i = 0; i < spatial; ++i) {
      const auto d = static_cast<int64_t>(i) + 2;
      y = y.narrow(d, begin[i], y.size(d) - begin[i] - pads[spatial + i]);
    }
  return {y};
}

Values gemm(const OpRun& run) {
  const Tensor a = int_attribute(run.node, "transA", 0) ? run.in[0].t() : run.in[0];
  const bool trans_b = int_attribute(run.node, "transB", 0) != 0;
  const float alpha = float_attribute(run.node, "alpha", 1.0f), beta = float_attribute(run.node, "beta", 1.0f);
  const bool plain = alpha == 1.0f && beta == 1.0f;
  if (plain && trans_b && run.has(2) && run.in[2].dim() == 1 && run.in[2].numel() == run.in[1].size(0)) {
    // As a 1x1 convolution, which oneDNN computes: Debian's BLAS is the reference one, single threaded and slow.
    if (a.device().is_cpu() && a.dim() == 2)
      return {torch::conv2d(a.unsqueeze(2).unsqueeze(3), run.in[1].unsqueeze(2).unsqueeze(3), run.in[2]).flatten(1)};
    return {torch::linear(a, run.in[1], run.in[2])};
  }
  Tensor y = torch::matmul(a, trans_b ? run.in[1].t() : run.in[1]);
  if (alpha != 1.0f) y = y * alpha;
  if (run.has(2)) y = y + (beta != 1.0f ? run.in[2] * beta : run.in[2]);
  return {y};
}

Values matmul(const OpRun& run) { return {torch::matmul(run.in[0], run.in[1])}; }
Values einsum(const OpRun& run) {
  return {torch::einsum(string_attribute(run.node, "equation", ""), Values(run.in.begin(), run.in.end()))};
}

Values max_pool(const OpRun& run) {
  if (run.node.outputs.size() > 1 && run.node.outputs[1] != k_absent)
    run.fail("the indices of a MaxPool are not available in training");
  const Windows w = windows(run, run.in[0], kernel_of(run));
  const Ints end = needed_end(w), zero(end.size(), 0);
  Ints pads = zero;
  Tensor x = run.in[0];
  const auto half_at_most = [&] {
    for (size_t i = 0; i < end.size(); ++i)
      if (w.begin[i] > w.kernel[i] / 2 || end[i] > w.begin[i]) return false;
    return true;
  };
  if (half_at_most()) {
    pads = w.begin;  // libtorch's own floor gives the same outputs: nothing beyond the even padding is read
    for (size_t i = 0; i < end.size(); ++i) {
      const int64_t in = x.size(static_cast<int64_t>(i) + 2);
      const int64_t made = (in + 2 * pads[i] - (w.kernel[i] - 1) * w.dilation[i] - 1) / w.stride[i] + 1;
      if (made != w.out[i]) {
        pads = zero;
        x = padded(run.in[0], w.begin, end, -std::numeric_limits<double>::infinity());
        break;
      }
    }
  } else {
    x = padded(x, w.begin, end, -std::numeric_limits<double>::infinity());
  }
  switch (w.kernel.size()) {
    case 1: return {torch::max_pool1d(x, w.kernel, w.stride, pads, w.dilation)};
    case 2: return {torch::max_pool2d(x, w.kernel, w.stride, pads, w.dilation)};
    default: return {torch::max_pool3d(x, w.kernel, w.stride, pads, w.dilation)};
  }
}

/// Sums over windows without padding.
Tensor window_sums(const Tensor& x, const Windows& w) {
  const Ints none(w.kernel.size(), 0);
  if (w.kernel.size() == 3) return torch::avg_pool3d(x, w.kernel, w.stride, none, false, true, 1);
  if (w.kernel.size() == 2) return torch::avg_pool2d(x, w.kernel, w.stride, none, false, true, 1);
  return torch::avg_pool2d(x.unsqueeze(2), {1, w.kernel[0]}, {1, w.stride[0]}, {0, 0}, false, true, 1).squeeze(2);
}

Values average_pool(const OpRun& run) {
  const Tensor& x = run.in[0];
  const Windows w = windows(run, x, kernel_of(run));
  for (const int64_t d : w.dilation)
    if (d != 1) run.fail("an AveragePool with dilations is not trainable");
  const Ints end = needed_end(w);
  const Tensor sums = window_sums(padded(x, w.begin, end, 0.0), w);
  int64_t taps = 1;
  for (const int64_t k : w.kernel) taps *= k;
  if (!w.padded && std::all_of(end.begin(), end.end(), [](int64_t e) { return e <= 0; })) return {sums / taps};
  Ints sizes = x.sizes().vec();
  sizes[0] = sizes[1] = 1;
  Tensor ones = torch::ones(sizes, x.options().requires_grad(false));
  Ints rest = end;
  if (int_attribute(run.node, "count_include_pad", 0)) {
    ones = padded(ones, w.begin, w.end, 1.0);
    for (size_t i = 0; i < rest.size(); ++i) rest[i] -= w.end[i];
    ones = padded(ones, Ints(rest.size(), 0), rest, 0.0);
  } else {
    ones = padded(ones, w.begin, end, 0.0);
  }
  return {sums / window_sums(ones, w)};
}

Ints spatial_axes(const Tensor& x) {
  Ints axes;
  for (int64_t d = 2; d < x.dim(); ++d) axes.push_back(d);
  return axes;
}
Values global_average_pool(const OpRun& run) { return {run.in[0].mean(spatial_axes(run.in[0]), true)}; }
Values global_max_pool(const OpRun& run) { return {torch::amax(run.in[0], spatial_axes(run.in[0]), true)}; }

Values batch_norm(const OpRun& run) {
  // ONNX's momentum is what stays, libtorch's what comes.
  const double momentum = 1.0 - double{float_attribute(run.node, "momentum", 0.9f)};
  const double epsilon = double{float_attribute(run.node, "epsilon", 1e-5f)};
  if (run.train_batch_norm && run.replicas)
    return {
        synced_batch_norm(run.in[0], {run.in[1], run.in[2], run.in[3], run.in[4], momentum, epsilon}, *run.replicas)};
  return {torch::batch_norm(run.in[0], run.in[1], run.in[2], run.in[3], run.in[4], run.train_batch_norm, momentum,
                            epsilon, /*cudnn_enabled=*/true)};
}

Values layer_norm(const OpRun& run) {
  const Tensor& x = run.in[0];
  int64_t axis = int_attribute(run.node, "axis", -1);
  if (axis < 0) axis += x.dim();
  const double epsilon = double{float_attribute(run.node, "epsilon", 1e-5f)};
  const Ints shape = x.sizes().slice(static_cast<size_t>(axis)).vec();
  Tensor y = torch::layer_norm(x, shape, {}, {}, epsilon, false) * run.in[1];
  if (run.has(2)) y = y + run.in[2];
  return {y};
}

Values instance_norm(const OpRun& run) {
  return {torch::instance_norm(run.in[0], run.in[1], run.in[2], {}, {}, true, 0.1,
                               double{float_attribute(run.node, "epsilon", 1e-5f)}, false)};
}

Values group_norm(const OpRun& run) {
  const int64_t groups = int_attribute(run.node, "num_groups", 1), channels = run.in[0].size(1);
  const auto per_channel = [&](const Tensor& t) {
    return t.numel() == channels ? t : t.repeat_interleave(channels / t.numel());
  };
  return {torch::group_norm(run.in[0], groups, per_channel(run.in[1]), per_channel(run.in[2]),
                            double{float_attribute(run.node, "epsilon", 1e-5f)}, false)};
}

constexpr TorchOpRow k_rows[] = {{"Conv", conv},
                                 {"ConvTranspose", conv_transpose},
                                 {"Gemm", gemm},
                                 {"MatMul", matmul},
                                 {"Einsum", einsum},
                                 {"MaxPool", max_pool},
                                 {"AveragePool", average_pool},
                                 {"GlobalAveragePool", global_average_pool},
                                 {"GlobalMaxPool", global_max_pool},
                                 {"BatchNormalization", batch_norm},
                                 {"LayerNormalization", layer_norm},
                                 {"InstanceNormalization", instance_norm},
                                 {"GroupNormalization", group_norm}};

}  // namespace

std::span<const TorchOpRow> layer_ops() { return k_rows; }

}  // namespace octet::nn
