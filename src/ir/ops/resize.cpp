// Resize(x, roi?, scales?, sizes?): nearest or linear interpolation along any axes. Source: ONNX operator Resize,
// opset 18. For output index i of an axis of n -> m elements with scale s = m / n (or as given):
//   half_pixel            c = (i + 0.5) / s - 0.5           asymmetric     c = i / s
//   pytorch_half_pixel    the same, but 0 when m is 1       align_corners  c = i (n - 1) / (m - 1), 0 when m is 1
//   half_pixel_symmetric  half_pixel about the middle, for lengths that s * n does not meet
// nearest rounds c by nearest_mode; linear mixes floor(c) and floor(c) + 1; indices are clamped to the axis.
// Not implemented, and refused by name: cubic, antialias, tf_crop_and_resize, axes, a kept aspect ratio.
#include <algorithm>

#include "ir/ops/common.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {
    "antialias",           "coordinate_transformation_mode", "cubic_coeff_a", "exclude_outside",
    "extrapolation_value", "keep_aspect_ratio_policy",       "mode",          "nearest_mode"};

struct Options {
  std::string mode, coordinates, nearest;
};

Result<Options> options_of(const NodeContext& context) {
  const Node& node = context.node;
  const Options options{string_attribute(node, "mode", "nearest"),
                        string_attribute(node, "coordinate_transformation_mode", "half_pixel"),
                        string_attribute(node, "nearest_mode", "round_prefer_floor")};
  const auto one_of = [](const std::string& word, std::initializer_list<std::string_view> words) {
    return std::find(words.begin(), words.end(), word) != words.end();
  };
  const auto refuse = [&](const std::string& what) {
    return context.error(what + " is not supported", ErrorCode::unsupported);
  };
  if (!one_of(options.mode, {"nearest", "linear"})) return refuse("mode '" + options.mode + "'");
  if (!one_of(options.coordinates,
              {"half_pixel", "pytorch_half_pixel", "half_pixel_symmetric", "asymmetric", "align_corners"}))
    return refuse("coordinate_transformation_mode '" + options.coordinates + "'");
  if (!one_of(options.nearest, {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"}))
    return refuse("nearest_mode '" + options.nearest + "'");
  if (int_attribute(node, "antialias", 0) != 0) return refuse("antialias");
  if (string_attribute(node, "keep_aspect_ratio_policy", "stretch") != "stretch") return refuse("a kept aspect ratio");
  return options;
}

/// Output extent and scale of one axis.
struct Scaled {
  int64_t extent = 0;
  double scale = 1;
};

/// From scales: extent = floor(n * scale); from sizes: scale = size / n.
Result<Scaled> scaled(const NodeContext& context, int64_t n, const Tensor* scales, const std::vector<int64_t>* sizes,
                      size_t axis) {
  Scaled out;
  if (scales) {
    out.scale = static_cast<double>(scales->at<float>(static_cast<int64_t>(axis)));
    const double extent = std::floor(static_cast<double>(n) * out.scale);
    if (!(out.scale > 0) || extent > static_cast<double>(k_max_elements))
      return context.error("scale " + std::to_string(out.scale) + " of axis " + std::to_string(axis) +
                           " is not possible");
    out.extent = static_cast<int64_t>(extent);
  } else {
    out.extent = (*sizes)[axis];
    if (out.extent < 0 || out.extent > k_max_elements)
      return context.error("size " + std::to_string(out.extent) + " of axis " + std::to_string(axis) +
                           " is not possible");
    out.scale = n == 0 ? 1.0 : static_cast<double>(out.extent) / static_cast<double>(n);
  }
  if (n == 0 && out.extent != 0) return context.error("an axis without elements cannot grow");
  return out;
}

/// The scales input when it holds something, else null; sizes otherwise.
bool uses_scales(const Tensor* scales) { return scales && scales->size() > 0; }

Result<Done> check_lengths(const NodeContext& context, const Tensor* scales, const std::vector<int64_t>* sizes,
                           size_t rank) {
  if (uses_scales(scales)) {
    if (scales->dtype() != DType::f32 || scales->size() != static_cast<int64_t>(rank))
      return context.error("scales must be " + std::to_string(rank) + " f32 numbers, one for each axis");
    return Done{};
  }
  if (!sizes || sizes->size() != rank)
    return context.error("needs scales or sizes with " + std::to_string(rank) + " numbers, one for each axis");
  return Done{};
}

Result<ValueTypes> infer(const NodeContext& context) {
  Result<Options> options = options_of(context);
  if (!options) return options.error();
  if (!context.shape(0)) return typed(context);
  Shape out = *context.shape(0);
  const Tensor* scales = context.constant(2);
  Result<std::optional<std::vector<int64_t>>> sizes = constant_ints(context, 3);
  if (!sizes) return sizes.error();
  const bool unknown = (context.has_input(2) && !scales) || (context.has_input(3) && !*sizes);
  if (unknown) return typed(context, Shape(out.size()));
  const std::vector<int64_t>* given = *sizes ? &**sizes : nullptr;
  if (Result<Done> ok = check_lengths(context, scales, given, out.size()); !ok) return ok.error();
  for (size_t i = 0; i < out.size(); ++i) {
    if (!out[i].known()) {
      const bool same = uses_scales(scales) && scales->at<float>(static_cast<int64_t>(i)) == 1.0f;
      if (!same) out[i] = uses_scales(scales) ? Dim() : Dim((*given)[i]);
      continue;
    }
    Result<Scaled> s = scaled(context, out[i].value, uses_scales(scales) ? scales : nullptr, given, i);
    if (!s) return s.error();
    out[i] = Dim(s->extent);
  }
  return typed(context, std::move(out));
}

double coordinate(int64_t i, int64_t n, const Scaled& to, const std::string& mode) {
  const auto x = static_cast<double>(i), length = static_cast<double>(n);
  if (mode == "asymmetric") return x / to.scale;
  if (mode == "align_corners") return to.extent == 1 ? 0.0 : x * (length - 1) / (static_cast<double>(to.extent) - 1);
  if (mode == "pytorch_half_pixel" && to.extent == 1) return 0.0;
  const double half_pixel = (x + 0.5) / to.scale - 0.5;
  if (mode != "half_pixel_symmetric") return half_pixel;
  const double adjustment = static_cast<double>(to.extent) / (to.scale * length);
  return length / 2 * (1 - adjustment) + half_pixel;
}

double rounded(double c, const std::string& mode) {
  if (mode == "floor") return std::floor(c);
  if (mode == "ceil") return std::ceil(c);
  return mode == "round_prefer_ceil" ? std::floor(c + 0.5) : std::ceil(c - 0.5);
}

/// Element i of the output axis is (1 - t) * x[low] + t * x[high].
struct Tap {
  int64_t low = 0, high = 0;
  double t = 0;
};

std::vector<Tap> taps_of(int64_t n, const Scaled& to, const Options& options) {
  const auto clamped = [&](double c) { return static_cast<int64_t>(std::clamp(c, 0.0, static_cast<double>(n - 1))); };
  std::vector<Tap> taps;
  for (int64_t i = 0; i < to.extent; ++i) {
    const double c =
        to.scale == 1.0 && to.extent == n ? static_cast<double>(i) : coordinate(i, n, to, options.coordinates);
    if (options.mode == "nearest") {
      const int64_t at = clamped(rounded(c, options.nearest));
      taps.push_back({at, at, 0.0});
    } else {
      taps.push_back({clamped(std::floor(c)), clamped(std::floor(c) + 1), c - std::floor(c)});
    }
  }
  return taps;
}

/// One axis at a time: an axis of taps mixes whole rows.
std::vector<double> along_axis(const std::vector<double>& x, const Dims& dims, size_t axis,
                               const std::vector<Tap>& taps) {
  const std::span<const int64_t> extents(dims);
  const auto outer = static_cast<size_t>(element_count(extents.first(axis)).value_or(0));
  const auto inner = static_cast<size_t>(element_count(extents.subspan(axis + 1)).value_or(0));
  const auto n = static_cast<size_t>(dims[axis]);
  std::vector<double> y;
  y.reserve(outer * taps.size() * inner);
  for (size_t o = 0; o < outer; ++o) {
    for (const Tap& tap : taps) {
      const double* low = x.data() + (o * n + static_cast<size_t>(tap.low)) * inner;
      const double* high = x.data() + (o * n + static_cast<size_t>(tap.high)) * inner;
      for (size_t i = 0; i < inner; ++i)
        y.push_back(tap.low == tap.high || tap.t == 0 ? low[i] : (1 - tap.t) * low[i] + tap.t * high[i]);
    }
  }
  return y;
}

Result<Tensors> resize(const NodeContext& context, std::span<const Tensor> inputs) {
  const Tensor& x = inputs[0];
  Result<Options> options = options_of(context);
  if (!options) return options.error();
  const Tensor* scales = is_present(inputs, 2) ? &inputs[2] : nullptr;
  Result<std::vector<int64_t>> sizes = std::vector<int64_t>();
  if (is_present(inputs, 3)) sizes = ints_of(context, inputs, 3);
  if (!sizes) return sizes.error();
  if (Result<Done> ok = check_lengths(context, scales, &*sizes, x.rank()); !ok) return ok.error();
  Dims dims = x.dims();
  std::vector<double> values = to_doubles(x);
  for (size_t axis = 0; axis < dims.size(); ++axis) {
    Result<Scaled> to = scaled(context, dims[axis], uses_scales(scales) ? scales : nullptr, &*sizes, axis);
    if (!to) return to.error();
    Dims next = dims;
    next[axis] = to->extent;
    if (!element_count(next)) return context.error("output " + to_string(next) + " is too large");
    values = along_axis(values, dims, axis, taps_of(dims[axis], *to, *options));
    dims = std::move(next);
  }
  return with_number_type(context, x.dtype(), [&]<class T>(T) -> Result<Tensors> {
    Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(x.dtype(), dims);
    if (!made) return made.error();
    T* y = reinterpret_cast<T*>(made->second);
    for (const double v : values)
      *y++ = static_cast<T>(static_cast<Wide<T>>(v));  // integers truncate, as ONNX Runtime does
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
