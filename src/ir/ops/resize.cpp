// Resize(x, roi?, scales?, sizes?): nearest, linear or cubic interpolation along any axes. Source: ONNX operator
// Resize, opset 19. For output index i of an axis of n -> m elements with scale s = m / n (or as given; with a kept
// aspect ratio one scale for all axes):
//   half_pixel            c = (i + 0.5) / s - 0.5           asymmetric     c = i / s
//   pytorch_half_pixel    the same, but 0 when m is 1       align_corners  c = i (n - 1) / (m - 1), 0 when m is 1
//   half_pixel_symmetric  half_pixel about the middle, for lengths that s * n does not meet
//   tf_crop_and_resize    c = begin (n - 1) + i (end - begin) (n - 1) / (m - 1); outside the axis y is
//   extrapolation_value
// nearest rounds c by nearest_mode; linear weighs the two elements around c, cubic the four (cubic_coeff_a); indices
// are clamped to the axis, or with exclude_outside their weights are dropped. antialias widens linear and cubic by 1 /
// s when s < 1.
#include <algorithm>
#include <numeric>

#include "ir/ops/common.h"
#include "ir/ops/resize_coordinates.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"antialias",
                                             "axes",
                                             "coordinate_transformation_mode",
                                             "cubic_coeff_a",
                                             "exclude_outside",
                                             "extrapolation_value",
                                             "keep_aspect_ratio_policy",
                                             "mode",
                                             "nearest_mode"};

struct Options {
  std::string mode, coordinates, nearest, aspect;
  double cubic = -0.75, extrapolation = 0;
  bool antialias = false, exclude_outside = false;
};

Result<Options> options_of(const NodeContext& context) {
  const Node& node = context.node;
  const Options options{string_attribute(node, "mode", "nearest"),
                        string_attribute(node, "coordinate_transformation_mode", "half_pixel"),
                        string_attribute(node, "nearest_mode", "round_prefer_floor"),
                        string_attribute(node, "keep_aspect_ratio_policy", "stretch"),
                        float_attribute(node, "cubic_coeff_a", -0.75f),
                        float_attribute(node, "extrapolation_value", 0),
                        int_attribute(node, "antialias", 0) != 0,
                        int_attribute(node, "exclude_outside", 0) != 0};
  const auto one_of = [](const std::string& word, std::initializer_list<std::string_view> words) {
    return std::find(words.begin(), words.end(), word) != words.end();
  };
  const auto refuse = [&](const std::string& what) { return context.error(what + " is not known to ONNX"); };
  if (!one_of(options.mode, {"nearest", "linear", "cubic"})) return refuse("mode '" + options.mode + "'");
  if (!one_of(options.coordinates, {"half_pixel", "pytorch_half_pixel", "half_pixel_symmetric", "asymmetric",
                                    "align_corners", "tf_crop_and_resize"}))
    return refuse("coordinate_transformation_mode '" + options.coordinates + "'");
  if (!one_of(options.nearest, {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"}))
    return refuse("nearest_mode '" + options.nearest + "'");
  if (!one_of(options.aspect, {"stretch", "not_larger", "not_smaller"}))
    return refuse("keep_aspect_ratio_policy '" + options.aspect + "'");
  return options;
}

/// Output extent and scale of one axis, and for tf_crop_and_resize its region.
struct Scaled {
  int64_t extent = 0;
  double scale = 1, begin = 0, end = 1;
  bool resized = false;  // the axis is among those that Resize was asked for
};

/// What the inputs 1 to 3 hold, as far as it is there.
struct Wanted {
  std::vector<double> roi, scales;
  std::vector<int64_t> sizes;
};

/// The axes that scales, sizes and roi speak of: the attribute, or all.
Result<std::vector<size_t>> resized_axes(const NodeContext& context, size_t rank) {
  if (has_attribute(context.node, "axes"))
    return normalized_axes(context, ints_attribute(context.node, "axes", {}), rank);
  std::vector<size_t> all(rank);
  std::iota(all.begin(), all.end(), size_t{0});
  return all;
}

Result<Done> check_lengths(const NodeContext& context, const Wanted& wanted, size_t axes) {
  const std::string each = std::to_string(axes) + (axes == 1 ? " number" : " numbers") + ", one for each axis";
  if (!wanted.scales.empty() && wanted.scales.size() != axes) return context.error("scales must be " + each);
  if (wanted.scales.empty() && wanted.sizes.size() != axes) return context.error("needs scales or sizes with " + each);
  return Done{};
}

Result<Scaled> scaled_by(const NodeContext& context, int64_t n, double scale, size_t axis) {
  const double extent = std::floor(static_cast<float>(n) * static_cast<float>(scale));  // 10 * 0.7 is 7
  if (!(scale > 0) || !(extent <= static_cast<double>(k_max_elements)))  // also the NaN of no elements and an infinity
    return context.error("scale " + std::to_string(scale) + " of axis " + std::to_string(axis) + " is not possible");
  return Scaled{static_cast<int64_t>(extent), scale, 0, 1, true};
}

Result<Scaled> scaled_to(const NodeContext& context, int64_t n, int64_t size, size_t axis) {
  if (size < 0 || size > k_max_elements)
    return context.error("size " + std::to_string(size) + " of axis " + std::to_string(axis) + " is not possible");
  return Scaled{size, n == 0 ? 1.0 : static_cast<double>(size) / static_cast<double>(n), 0, 1, true};
}

/// One scale for all axes of a kept aspect ratio: the smallest (not_larger) or the largest of those that sizes ask for.
double common_scale(const Dims& x, const std::vector<size_t>& axes, const Wanted& wanted, const Options& options) {
  double common = 0;
  for (size_t k = 0; k < axes.size(); ++k) {
    const double s = static_cast<double>(wanted.sizes[k]) / static_cast<double>(std::max<int64_t>(x[axes[k]], 1));
    if (k == 0 || (options.aspect == "not_larger" ? s < common : s > common)) common = s;
  }
  return common;
}

/// By axis of x, all extents known.
Result<std::vector<Scaled>> scaled_axes(const NodeContext& context, const Dims& x, const Wanted& wanted,
                                        const Options& options) {
  Result<std::vector<size_t>> axes = resized_axes(context, x.size());
  if (!axes) return axes.error();
  if (Result<Done> ok = check_lengths(context, wanted, axes->size()); !ok) return ok.error();
  std::vector<Scaled> made;
  for (const int64_t n : x) made.push_back({n, 1.0, 0, 1, false});
  const bool keeps_aspect = options.aspect != "stretch" && wanted.scales.empty();
  const double common = keeps_aspect ? common_scale(x, *axes, wanted, options) : 1;
  const bool crops = options.coordinates == "tf_crop_and_resize";
  if (crops && wanted.roi.size() != 2 * axes->size())
    return context.error("roi must be " + std::to_string(2 * axes->size()) + " numbers for tf_crop_and_resize");
  for (size_t k = 0; k < axes->size(); ++k) {
    const size_t axis = (*axes)[k];
    Result<Scaled> to = !wanted.scales.empty() ? scaled_by(context, x[axis], wanted.scales[k], axis)
                                               : scaled_to(context, x[axis], wanted.sizes[k], axis);
    if (!to) return to.error();
    if (keeps_aspect) {
      to->scale = common;
      const double extent = std::floor(common * static_cast<double>(x[axis]) + 0.5);
      if (extent > static_cast<double>(k_max_elements))
        return context.error("a kept aspect ratio makes axis " + std::to_string(axis) + " too long");
      to->extent = static_cast<int64_t>(extent);
    }
    if (crops) {
      to->begin = wanted.roi[k];
      to->end = wanted.roi[axes->size() + k];
    }
    if (x[axis] == 0 && to->extent != 0) return context.error("an axis without elements cannot grow");
    made[axis] = *to;
  }
  return made;
}

/// Element i of an input that is present, else nothing.
template <class F>
Result<Wanted> wanted_from(const NodeContext& context, F tensor_at) {
  Wanted made;
  if (const Tensor* roi = tensor_at(size_t{1})) made.roi = to_doubles(*roi);
  if (const Tensor* scales = tensor_at(size_t{2})) made.scales = to_doubles(*scales);
  if (const Tensor* sizes = tensor_at(size_t{3})) {
    Result<std::vector<int64_t>> values = to_int64s(*sizes);
    if (!values) return context.error("sizes: " + values.error().message);
    made.sizes = std::move(*values);
  }
  return made;
}

Result<ValueTypes> infer(const NodeContext& context) {
  Result<Options> options = options_of(context);
  if (!options) return options.error();
  if (!context.shape(0)) return typed(context);
  Shape out = *context.shape(0);
  Result<std::vector<size_t>> axes = resized_axes(context, out.size());
  if (!axes) return axes.error();
  for (size_t i = 1; i < 4; ++i) {
    if (!context.has_input(i) || context.constant(i) || i == 1) continue;
    for (const size_t axis : *axes) out[axis] = Dim();
    return typed(context, std::move(out));
  }
  Result<Wanted> wanted = wanted_from(context, [&](size_t i) { return context.constant(i); });
  if (!wanted) return wanted.error();
  if (Result<Done> ok = check_lengths(context, *wanted, axes->size()); !ok) return ok.error();
  if (wanted->roi.empty()) wanted->roi.resize(2 * axes->size(), 0.0);  // it has no say in extents
  if (const std::optional<Dims> x = known_dims(out)) {
    Result<std::vector<Scaled>> to = scaled_axes(context, *x, *wanted, *options);
    if (!to) return to.error();
    for (size_t i = 0; i < out.size(); ++i) out[i] = Dim((*to)[i].extent);
    return typed(context, std::move(out));
  }
  const bool keeps_aspect = options->aspect != "stretch" && wanted->scales.empty();
  for (size_t k = 0; k < axes->size(); ++k) {
    Dim& d = out[(*axes)[k]];
    if (!wanted->scales.empty()) {
      if (!d.known()) {
        if (wanted->scales[k] != 1) d = Dim();
        continue;
      }
      Result<Scaled> to = scaled_by(context, d.value, wanted->scales[k], (*axes)[k]);
      if (!to) return to.error();
      d = Dim(to->extent);
    } else {
      d = keeps_aspect || wanted->sizes[k] < 0 ? Dim() : Dim(wanted->sizes[k]);
    }
  }
  return typed(context, std::move(out));
}

/// Weight of an element at distance d.
double linear_weight(double d) { return std::max(0.0, 1 - std::fabs(d)); }
double cubic_weight(double d, double a) {
  const double x = std::fabs(d);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

/// Element i of the output axis is the sum of weight * x[at]; without taps it is the extrapolation value.
struct Taps {
  std::vector<int64_t> at;
  std::vector<double> weight;
};

Taps taps_at(double c, int64_t n, const Scaled& to, const Options& options) {
  const auto clamped = [&](double k) { return static_cast<int64_t>(std::clamp(k, 0.0, static_cast<double>(n - 1))); };
  if (options.mode == "nearest") return {{clamped(resize_nearest(c, options.nearest))}, {1.0}};
  const bool cubic = options.mode == "cubic";
  const double shrink = options.antialias ? std::min(to.scale, 1.0) : 1.0, reach = (cubic ? 2 : 1) / shrink;
  Taps taps;
  double sum = 0;
  for (double k = std::floor(c - reach) + 1; k < c + reach; ++k) {
    double w = cubic ? cubic_weight((k - c) * shrink, options.cubic) : linear_weight((k - c) * shrink);
    if (options.exclude_outside && (k < 0 || k > static_cast<double>(n - 1))) w = 0;
    if (w == 0) continue;
    taps.at.push_back(clamped(k));
    taps.weight.push_back(w);
    sum += w;
  }
  if (options.exclude_outside || options.antialias)
    for (double& w : taps.weight) w /= sum;
  return taps;
}

std::vector<Taps> taps_of(int64_t n, const Scaled& to, const Options& options) {
  std::vector<Taps> taps;
  const bool crops = options.coordinates == "tf_crop_and_resize" && to.resized;
  const bool is_nearest = options.mode == "nearest";
  const ResizeAxis axis{n, to.extent, to.scale, to.begin, to.end};
  for (int64_t i = 0; i < to.extent; ++i) {
    const bool same = to.scale == 1.0 && to.extent == n && !crops;
    const double c = same ? static_cast<double>(i) : resize_coordinate(i, axis, options.coordinates, is_nearest);
    const bool outside = crops && (c < 0 || c > static_cast<double>(n - 1));
    taps.push_back(outside ? Taps{} : same ? Taps{{i}, {1.0}} : taps_at(c, n, to, options));
  }
  return taps;
}

/// One axis at a time: an axis of taps mixes whole rows.
std::vector<double> along_axis(const std::vector<double>& x, const Dims& dims, size_t axis,
                               const std::vector<Taps>& taps, double outside) {
  const std::span<const int64_t> extents(dims);
  const auto outer = static_cast<size_t>(element_count(extents.first(axis)).value_or(0));
  const auto inner = static_cast<size_t>(element_count(extents.subspan(axis + 1)).value_or(0));
  const auto n = static_cast<size_t>(dims[axis]);
  std::vector<double> y(outer * taps.size() * inner, 0.0);
  double* to = y.data();
  for (size_t o = 0; o < outer; ++o) {
    for (const Taps& tap : taps) {
      if (tap.at.empty()) std::fill_n(to, inner, outside);
      for (size_t k = 0; k < tap.at.size(); ++k) {
        const double* from = x.data() + (o * n + static_cast<size_t>(tap.at[k])) * inner;
        for (size_t i = 0; i < inner; ++i) to[i] = tap.at.size() == 1 ? from[i] : to[i] + tap.weight[k] * from[i];
      }
      to += inner;
    }
  }
  return y;
}

Result<Tensors> resize(const NodeContext& context, std::span<const Tensor> inputs) {
  const Tensor& x = inputs[0];
  Result<Options> options = options_of(context);
  if (!options) return options.error();
  Result<Wanted> wanted = wanted_from(context, [&](size_t i) { return is_present(inputs, i) ? &inputs[i] : nullptr; });
  if (!wanted) return wanted.error();
  Result<std::vector<Scaled>> to = scaled_axes(context, x.dims(), *wanted, *options);
  if (!to) return to.error();
  Dims dims = x.dims();
  std::vector<double> values = to_doubles(x);
  for (size_t axis = 0; axis < dims.size(); ++axis) {
    Dims next = dims;
    next[axis] = (*to)[axis].extent;
    if (!element_count(next)) return context.error("output " + to_string(next) + " is too large");
    values = along_axis(values, dims, axis, taps_of(dims[axis], (*to)[axis], *options), options->extrapolation);
    dims = std::move(next);
  }
  return with_number_type(context, x.dtype(), [&]<class T>(T) -> Result<Tensors> {
    Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(x.dtype(), dims);
    if (!made) return made.error();
    T* y = reinterpret_cast<T*>(made->second);
    for (const double v : values) {
      if constexpr (std::is_integral_v<T>) {  // integers truncate, as ONNX Runtime does; cubic may overshoot
        constexpr double low = static_cast<double>(std::numeric_limits<T>::lowest());
        *y++ = v >= std::ldexp(1.0, std::numeric_limits<T>::digits) ? std::numeric_limits<T>::max()
               : v <= low                                           ? std::numeric_limits<T>::lowest()
                                                                    : static_cast<T>(v);
      } else {
        *y++ = static_cast<T>(static_cast<Wide<T>>(v));
      }
    }
    return Tensors{std::move(made->first)};
  });
}

}  // namespace

const OpDef resize_op = {
    .name = "Resize",
    .min_inputs = 1,
    .max_inputs = 4,
    .attributes = k_attributes,
    .infer = infer,
    .reference = resize,
};

}  // namespace octet
