// Resize of images along height and width: nearest for every dtype, linear for f32. Which input pixels make an output
// pixel is worked out when the plan is prepared.
#include <array>
#include <cmath>
#include <cstring>

#include "backends/cpu/constants.h"
#include "backends/cpu/step.h"
#include "ir/ops/resize_coordinates.h"

namespace octet::cpu {
namespace {

/// Output element i of an axis is (1 - t) * x[low] + t * x[high].
struct Tap {
  int64_t low = 0, high = 0;
  float t = 0;
};

/// Scale of an axis: as given, else output / input.
double scale_of(const StepQuery& query, size_t axis) {
  const std::vector<float> scales = constant_floats(query.graph, query.id(2));
  if (!scales.empty()) return static_cast<double>(scales[axis]);
  return static_cast<double>(query.output_dims()[axis]) / static_cast<double>(query.dims(0)[axis]);
}

std::string refuse(const StepQuery& query) {
  for (const size_t i : {size_t{2}, size_t{3}}) {
    if (query.has_input(i) && !is_constant(query.graph, query.id(i))) return "scales or sizes are not constant";
  }
  if (string_attribute(query.node, "mode", "nearest") == "cubic") return "cubic interpolation";
  if (int_attribute(query.node, "antialias", 0) != 0) return "antialias";
  if (has_attribute(query.node, "axes")) return "the attribute axes";
  if (string_attribute(query.node, "keep_aspect_ratio_policy", "stretch") != "stretch") return "a kept aspect ratio";
  if (int_attribute(query.node, "exclude_outside", 0) != 0) return "exclude_outside";
  if (string_attribute(query.node, "coordinate_transformation_mode", "") == "tf_crop_and_resize") return "a crop";
  if (query.shape(0)->size() != 4) return "only images (a rank-4 input)";
  const Dims x = query.dims(0), y = query.output_dims();
  if (x[0] != y[0] || x[1] != y[1]) return "a batch or channel axis of another extent";
  if (x[2] == 0 || x[3] == 0) return "an image without pixels";
  if (string_attribute(query.node, "mode", "nearest") == "linear" && query.dtype(0) != DType::f32)
    return "linear interpolation of " + std::string(name(query.dtype(0))) + ", not f32";
  return "";
}

std::vector<Tap> taps_of(const StepQuery& query, size_t axis) {
  const int64_t n = query.dims(0)[axis], m = query.output_dims()[axis];
  const double scale = scale_of(query, axis);
  const std::string mode = string_attribute(query.node, "coordinate_transformation_mode", "half_pixel");
  const std::string nearest = string_attribute(query.node, "nearest_mode", "round_prefer_floor");
  const bool linear = string_attribute(query.node, "mode", "nearest") == "linear";
  const auto clamped = [n](double c) { return static_cast<int64_t>(std::clamp(c, 0.0, static_cast<double>(n - 1))); };
  std::vector<Tap> taps;
  for (int64_t i = 0; i < m; ++i) {
    const double c =
        scale == 1.0 && n == m ? static_cast<double>(i) : resize_coordinate(i, {n, m, scale}, mode, !linear);
    if (linear) {
      taps.push_back({clamped(std::floor(c)), clamped(std::floor(c) + 1), static_cast<float>(c - std::floor(c))});
    } else {
      const int64_t at = clamped(resize_nearest(c, nearest));
      taps.push_back({at, at, 0.0f});
    }
  }
  return taps;
}

void mix_pixels(const float* const corners[4], float tv, float th, int64_t channels, float* y) {
  for (int64_t c = 0; c < channels; ++c) {
    const float top = (1 - th) * corners[0][c] + th * corners[1][c];
    const float bottom = (1 - th) * corners[2][c] + th * corners[3][c];
    y[c] = (1 - tv) * top + tv * bottom;
  }
}

struct Images {
  Layout x, y;
  std::vector<Tap> rows, columns;
  bool linear = false;
};

void resize_row(const Images& im, const std::byte* x, std::byte* y, int64_t image, int64_t row) {
  const auto size = static_cast<int64_t>(im.x.element_bytes);
  const Tap& v = im.rows[static_cast<size_t>(row)];
  const auto pixel = [&](int64_t line, int64_t column) {
    return x + (image * im.x.strides[0] + line * im.x.strides[2] + column * im.x.strides[3]) * size;
  };
  for (int64_t column = 0; column < im.y.dims[3]; ++column) {
    const Tap& h = im.columns[static_cast<size_t>(column)];
    std::byte* to = y + (image * im.y.strides[0] + row * im.y.strides[2] + column * im.y.strides[3]) * size;
    if (!im.linear) {
      std::memcpy(to, pixel(v.low, h.low), static_cast<size_t>(im.x.channels() * size));
      continue;
    }
    const float* const corners[4] = {
        reinterpret_cast<const float*>(pixel(v.low, h.low)), reinterpret_cast<const float*>(pixel(v.low, h.high)),
        reinterpret_cast<const float*>(pixel(v.high, h.low)), reinterpret_cast<const float*>(pixel(v.high, h.high))};
    mix_pixels(corners, v.t, h.t, im.x.channels(), reinterpret_cast<float*>(to));
  }
}

Result<PreparedStep> prepare(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  const Images images{x->layout, y.layout, taps_of(query, 2), taps_of(query, 3),
                      string_attribute(query.node, "mode", "nearest") == "linear"};
  PreparedStep step;
  step.run = [images, x = x->place, y = y.place](const RunContext& run) {
    const std::byte* px = run.at<std::byte>(x);
    std::byte* py = run.at<std::byte>(y);
    const int64_t height = images.y.dims[2];
    run.parallel(images.y.batch() * height, images.y.dims[3] * images.y.pitch(), [&](int64_t first, int64_t last, int) {
      for (int64_t unit = first; unit < last; ++unit) resize_row(images, px, py, unit / height, unit % height);
    });
  };
  return step;
}

}  // namespace

const StepDef resize_step = {"resize", refuse, streaming_cost_us, prepare};

}  // namespace octet::cpu
