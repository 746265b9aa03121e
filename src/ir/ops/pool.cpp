// MaxPool, AveragePool, LpPool and the integer average. Source: ONNX operators MaxPool-12, AveragePool-19, LpPool-18.
//   MaxPool: maximum over the taps inside the input, on numbers and on codes (order is kept by any positive scale).
//   Output 1: the index of the (first) maximum in x, counted over all of x; with storage_order=1 the spatial axes count
//   with the first one innermost.
//   LpPool: (sum |x|^p)^(1/p) over the taps inside the input.
//   AveragePool: sum over the taps inside the input / count; count = taps inside the input, or inside the padded input
//   with count_include_pad. QuantAveragePool: README.md form 4.
#include <algorithm>

#include "ir/ops/common.h"
#include "ir/ops/fused.h"
#include "ir/ops/window.h"

namespace octet {
namespace {

constexpr std::string_view k_max_attributes[] = {"auto_pad", "ceil_mode",     "dilations", "kernel_shape",
                                                 "pads",     "storage_order", "strides"};
constexpr std::string_view k_average_attributes[] = {
    "auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides"};
constexpr std::string_view k_lp_attributes[] = {"auto_pad", "ceil_mode", "dilations", "kernel_shape",
                                                "p",        "pads",      "strides"};
constexpr std::string_view k_quant_attributes[] = {"auto_pad",     "ceil_mode", "count_include_pad", "dilations",
                                                   "kernel_shape", "pads",      "strides",           "x_scale",
                                                   "x_zero_point", "y_scale",   "y_zero_point",      "to"};

struct PoolGeometry {
  Dims y_dims;
  WindowAxes axes;
};

Result<std::optional<Shape>> pool_shape(const NodeContext& context, const std::optional<Shape>& x) {
  if (!x) return std::optional<Shape>();
  Result<size_t> spatial = spatial_rank(context, x->size());
  if (!spatial) return spatial.error();
  Result<WindowAttributes> attributes = window_attributes(context, *spatial);
  if (!attributes) return attributes.error();
  Result<std::vector<int64_t>> kernel = kernel_shape(context, *spatial);
  if (!kernel) return kernel.error();
  Shape y = {(*x)[0], (*x)[1]};
  for (size_t i = 0; i < *spatial; ++i) {
    Result<Dim> extent = window_extent(context, *attributes, i, Dim((*kernel)[i]), (*x)[i + 2]);
    if (!extent) return extent.error();
    y.push_back(std::move(*extent));
    const int64_t covered = ((*kernel)[i] - 1) * attributes->dilations[i] + 1;
    if (attributes->pads_begin[i] >= covered || attributes->pads_end[i] >= covered)
      return context.error("pads " + std::to_string(attributes->pads_begin[i]) + " and " +
                           std::to_string(attributes->pads_end[i]) + " on spatial axis " + std::to_string(i) +
                           " must be smaller than the window of " + std::to_string(covered) +
                           ": a window may not lie in the padding alone");
  }
  return std::optional<Shape>(std::move(y));
}

Result<PoolGeometry> pool_geometry(const NodeContext& context, const Dims& x) {
  Result<std::optional<Shape>> y = pool_shape(context, to_shape(x));
  if (!y) return y.error();
  PoolGeometry g{known_dims(**y).value(), {}};
  if (!element_count(g.y_dims)) return context.error("output " + to_string(g.y_dims) + " is too large");
  const size_t spatial = x.size() - 2;
  Result<WindowAttributes> attributes = window_attributes(context, spatial);
  if (!attributes) return attributes.error();
  Result<std::vector<int64_t>> kernel = kernel_shape(context, spatial);
  if (!kernel) return kernel.error();
  for (size_t i = 0; i < spatial; ++i) {
    Result<WindowAxis> axis = window_axis(context, *attributes, i, (*kernel)[i], x[i + 2]);
    if (!axis) return axis.error();
    g.axes[3 - spatial + i] = *axis;
  }
  return g;
}

/// For each output in row-major order: visit(index into x) for each tap inside the input, then finish(taps inside the
/// input, taps inside the padded input).
template <class Visit, class Finish>
void for_each_window(const PoolGeometry& g, int64_t planes, Visit visit, Finish finish) {
  const auto& [d, h, w] = g.axes;
  for (int64_t p = 0; p < planes; ++p) {
    const int64_t plane = p * d.in * h.in * w.in;
    for (int64_t od = 0; od < d.out; ++od) {
      const TapRange td = taps_of_output(d, od);
      for (int64_t oh = 0; oh < h.out; ++oh) {
        const TapRange th = taps_of_output(h, oh);
        for (int64_t ow = 0; ow < w.out; ++ow) {
          const TapRange tw = taps_of_output(w, ow);
          for (int64_t kd = td.begin; kd < td.end; ++kd)
            for (int64_t kh = th.begin; kh < th.end; ++kh)
              for (int64_t kw = tw.begin; kw < tw.end; ++kw) {
                const int64_t id = od * d.stride - d.pad_begin + kd * d.dilation;
                const int64_t ih = oh * h.stride - h.pad_begin + kh * h.dilation;
                const int64_t iw = ow * w.stride - w.pad_begin + kw * w.dilation;
                visit(plane + (id * h.in + ih) * w.in + iw);
              }
          finish((td.end - td.begin) * (th.end - th.begin) * (tw.end - tw.begin), td.padded * th.padded * tw.padded);
        }
      }
    }
  }
}

Result<ValueTypes> infer_max(const NodeContext& context) {
  if (context.dtype(0) == DType::boolean) return context.error("is not defined for bool");
  Result<std::optional<Shape>> y = pool_shape(context, context.shape(0));
  if (!y) return y.error();
  return ValueTypes{{context.dtype(0), *y}, {DType::s64, *y}};
}

/// The index with the first spatial axis innermost.
int64_t column_major(const PoolGeometry& g, int64_t index) {
  const auto& [d, h, w] = g.axes;
  const int64_t plane = d.in * h.in * w.in, at = index % plane;
  return index - at + at / (h.in * w.in) + (at / w.in % h.in + at % w.in * h.in) * d.in;
}

Result<Tensors> max_pool(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<PoolGeometry> g = pool_geometry(context, inputs[0].dims());
  if (!g) return g.error();
  const int64_t planes = inputs[0].dims()[0] * inputs[0].dims()[1];
  const bool by_columns = int_attribute(context.node, "storage_order", 0) != 0;
  return with_number_type(context, inputs[0].dtype(), [&]<class T>(T) -> Result<Tensors> {
    Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(inputs[0].dtype(), g->y_dims);
    if (!made) return made.error();
    T* y = reinterpret_cast<T*>(made->second);
    const std::span<const T> x = inputs[0].as<T>();
    // What a dilated window gives whose taps all miss the input.
    Wide<T> lowest = std::numeric_limits<Wide<T>>::lowest();
    if constexpr (std::is_floating_point_v<Wide<T>>) lowest = -std::numeric_limits<Wide<T>>::infinity();
    Wide<T> best = lowest;
    int64_t best_at = -1;
    std::vector<int64_t> indices;
    for_each_window(
        *g, planes,
        [&](int64_t i) {
          const auto v = static_cast<Wide<T>>(x[static_cast<size_t>(i)]);
          if (v > best || v != v || best_at < 0) {  // a NaN stays
            best = v;
            best_at = i;
          }
        },
        [&](int64_t, int64_t) {
          *y++ = static_cast<T>(best);
          indices.push_back(by_columns && best_at >= 0 ? column_major(*g, best_at) : best_at);
          best = lowest;
          best_at = -1;
        });
    return Tensors{std::move(made->first), s64_tensor(g->y_dims, indices)};
  });
}

Result<ValueTypes> infer_average(const NodeContext& context) {
  if (Result<Done> ok = require_float(context, 0); !ok) return ok.error();
  Result<std::optional<Shape>> y = pool_shape(context, context.shape(0));
  if (!y) return y.error();
  return typed(context, std::move(*y));
}

Result<Tensors> average_pool(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<PoolGeometry> g = pool_geometry(context, inputs[0].dims());
  if (!g) return g.error();
  const bool include_pad = int_attribute(context.node, "count_include_pad", 0) != 0;
  const std::vector<double> x = to_doubles(inputs[0]);
  std::vector<float> y;
  double sum = 0;
  for_each_window(
      *g, inputs[0].dims()[0] * inputs[0].dims()[1], [&](int64_t i) { sum += x[static_cast<size_t>(i)]; },
      [&](int64_t inside, int64_t padded) {
        const int64_t count = include_pad ? padded : inside;
        y.push_back(static_cast<float>(count > 0 ? sum / static_cast<double>(count) : 0.0));
        sum = 0;
      });
  return from_f32(context, inputs[0].dtype(), g->y_dims, y);
}

Result<ValueTypes> infer_lp(const NodeContext& context) {
  if (int_attribute(context.node, "p", 2) < 1) return context.error("p is below 1");
  return infer_average(context);
}

Result<Tensors> lp_pool(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<PoolGeometry> g = pool_geometry(context, inputs[0].dims());
  if (!g) return g.error();
  const auto p = static_cast<double>(int_attribute(context.node, "p", 2));
  const std::vector<double> x = to_doubles(inputs[0]);
  std::vector<double> y;
  double sum = 0;
  for_each_window(
      *g, inputs[0].dims()[0] * inputs[0].dims()[1],
      [&](int64_t i) { sum += std::pow(std::fabs(x[static_cast<size_t>(i)]), p); },
      [&](int64_t, int64_t) {
        y.push_back(std::pow(sum, 1 / p));
        sum = 0;
      });
  return from_doubles(context, inputs[0].dtype(), g->y_dims, y);
}

Result<ValueTypes> infer_quant_average(const NodeContext& context) {
  if (Result<Done> ok = require_codes(context, 0); !ok) return ok.error();
  if (Result<QuantParams> x = quant_params(context, "x", context.dtype(0)); !x) return x.error();
  Result<Requantize> requantize = requantize_of(context);
  if (!requantize) return requantize.error();
  Result<std::optional<Shape>> y = pool_shape(context, context.shape(0));
  if (!y) return y.error();
  return ValueTypes{{requantize->y.dtype, std::move(*y)}};
}

Result<Tensors> quant_average_pool(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<PoolGeometry> g = pool_geometry(context, inputs[0].dims());
  if (!g) return g.error();
  Result<Requantize> requantize = requantize_of(context);
  if (!requantize) return requantize.error();
  Result<QuantParams> xq = quant_params(context, "x", inputs[0].dtype());
  if (!xq) return xq.error();
  const bool include_pad = int_attribute(context.node, "count_include_pad", 0) != 0;
  const std::vector<int32_t> x = code_values(inputs[0]);
  LayerOutputs y(*requantize);
  int64_t sum = 0;
  Result<int32_t> acc = 0;
  for_each_window(
      *g, inputs[0].dims()[0] * inputs[0].dims()[1],
      [&](int64_t i) { sum += x[static_cast<size_t>(i)] - xq->zero_point; },
      [&](int64_t inside, int64_t padded) {
        if (!acc) return;
        acc = accumulator(context, sum);
        sum = 0;
        if (!acc) return;
        const auto count = static_cast<double>(std::max<int64_t>(include_pad ? padded : inside, 1));
        const double m = static_cast<double>(xq->scale) / (requantize->y_scale() * count);
        y.add(static_cast<float>(*acc) * static_cast<float>(m));
      });
  if (!acc) return acc.error();
  return y.tensor(g->y_dims);
}

}  // namespace

const OpDef max_pool_op = {.name = "MaxPool",
                           .outputs_max = 2,
                           .attributes = k_max_attributes,
                           .infer = infer_max,
                           .reference = max_pool,
                           .quant = {.role = QuantRole::same_scale}};

const OpDef average_pool_op = {.name = "AveragePool",
                               .attributes = k_average_attributes,
                               .infer = infer_average,
                               .reference = average_pool,
                               .quant = {.role = QuantRole::pool_average}};

const OpDef lp_pool_op = {.name = "LpPool", .attributes = k_lp_attributes, .infer = infer_lp, .reference = lp_pool};

const OpDef quant_average_pool_op = {.name = "QuantAveragePool",
                                     .attributes = k_quant_attributes,
                                     .infer = infer_quant_average,
                                     .reference = quant_average_pool,
                                     .is_onnx = false};

}  // namespace octet
