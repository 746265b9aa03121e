// Resize of images along height and width: nearest for every dtype, linear for f32. Which input pixels make an output
// pixel is worked out when the plan is prepared.
#include <algorithm>
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
  std::vector<float> scales = constant_floats(query.graph, query.id(2));
  if (const auto axes = ints_attribute(query.node, "axes", {}); !axes.empty() && !scales.empty()) {
    std::vector<float> of_all(4, 1.0f);
    for (size_t k = 0; k < axes.size(); ++k)
      of_all[static_cast<size_t>(axes[k] < 0 ? axes[k] + 4 : axes[k])] = scales[k];
    scales = of_all;
  }
  if (!scales.empty()) return static_cast<double>(scales[axis]);
  return static_cast<double>(query.output_dims()[axis]) / static_cast<double>(query.dims(0)[axis]);
}

std::string refuse(const StepQuery& query) {
  for (const size_t i : {size_t{2}, size_t{3}}) {
    if (query.has_input(i) && !is_constant(query.graph, query.id(i))) return "scales or sizes are not constant";
  }
  if (string_attribute(query.node, "mode", "nearest") == "cubic") return "cubic interpolation";
  if (int_attribute(query.node, "antialias", 0) != 0) return "antialias";
  if (string_attribute(query.node, "keep_aspect_ratio_policy", "stretch") != "stretch") return "a kept aspect ratio";
  if (int_attribute(query.node, "exclude_outside", 0) != 0) return "exclude_outside";
  if (string_attribute(query.node, "coordinate_transformation_mode", "") == "tf_crop_and_resize") return "a crop";
  if (query.shape(0)->size() != 4) return "only images (a rank-4 input)";
  const Dims x = query.dims(0), y = query.output_dims();
  if (x[0] != y[0] || x[1] != y[1]) return "a batch or channel axis of another extent";
  if (scale_of(query, 0) != 1 || scale_of(query, 1) != 1) return "a batch or channel axis of another scale";
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

struct Images {
  Layout x, y;
  std::vector<Tap> rows, columns;
  int64_t size() const { return static_cast<int64_t>(x.element_bytes); }
  int64_t channels() const { return x.channels(); }
};

void take_nearest(const Images& im, const std::byte* x, std::byte* y, int64_t image, int64_t row) {
  const std::byte* const line =
      x + (image * im.x.strides[0] + im.rows[static_cast<size_t>(row)].low * im.x.strides[2]) * im.size();
  std::byte* to = y + (image * im.y.strides[0] + row * im.y.strides[2]) * im.size();
  for (const Tap& h : im.columns) {
    std::memcpy(to, line + h.low * im.x.strides[3] * im.size(), static_cast<size_t>(im.channels() * im.size()));
    to += im.y.strides[3] * im.size();
  }
}

/// Rows of input pixels mixed along the width, dense, two of them: an output row mixes neighbours, and the rows that
/// follow mix the same ones or the next.
class MixedLines {
 public:
  MixedLines(const Images& im, const float* image, float* memory) : im_(im), image_(image), memory_(memory) {}

  const float* line(int64_t i) {
    float* const to = memory_ + i % 2 * length();
    if (held_[i % 2] != i) mix(i, to);
    held_[i % 2] = i;
    return to;
  }
  int64_t length() const { return static_cast<int64_t>(im_.columns.size()) * im_.channels(); }

 private:
  void mix(int64_t i, float* to) const {
    const float* const from = image_ + i * im_.x.strides[2];
    const int64_t channels = im_.channels();
    for (const Tap& h : im_.columns) {
      const float *const left = from + h.low * im_.x.strides[3], *const right = from + h.high * im_.x.strides[3];
      for (int64_t c = 0; c < channels; ++c) to[c] = (1 - h.t) * left[c] + h.t * right[c];
      to += channels;
    }
  }

  const Images& im_;
  const float* image_;
  float* memory_;
  int64_t held_[2] = {-1, -1};
};

void mix(const float* __restrict top, const float* __restrict bottom, float t, int64_t n, float* __restrict y) {
  for (int64_t i = 0; i < n; ++i) y[i] = (1 - t) * top[i] + t * bottom[i];
}

/// Rows [first, last) of one image.
void mix_rows(const Images& im, const float* x, float* y, int64_t first, int64_t last, float* memory) {
  MixedLines lines(im, x, memory);
  const int64_t channels = im.channels(), pitch = im.y.strides[3];
  for (int64_t row = first; row < last; ++row) {
    const Tap& v = im.rows[static_cast<size_t>(row)];
    const float *top = lines.line(v.low), *bottom = lines.line(v.high);
    float* to = y + row * im.y.strides[2];
    if (pitch == channels) {
      mix(top, bottom, v.t, lines.length(), to);
      continue;
    }
    for (size_t column = 0; column < im.columns.size(); ++column) {
      mix(top, bottom, v.t, channels, to);
      top += channels, bottom += channels, to += pitch;
    }
  }
}

Result<PreparedStep> prepare(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  const Images images{x->layout, y.layout, taps_of(query, 2), taps_of(query, 3)};
  const bool linear = string_attribute(query.node, "mode", "nearest") == "linear";
  const auto line = static_cast<size_t>(images.y.dims[3] * images.channels());
  PreparedStep step{.scratch_bytes = linear ? 2 * line * sizeof(float) : 0};
  step.run = [images, linear, x = x->place, y = y.place](const RunContext& run) {
    const int64_t height = images.y.dims[2];
    run.parallel(
        images.y.batch() * height, images.y.dims[3] * images.y.pitch(), [&](int64_t first, int64_t last, int worker) {
          while (first < last) {
            const int64_t image = first / height, row = first % height, end = std::min(height, row + last - first);
            if (linear) {
              mix_rows(images, run.at<float>(x) + image * images.x.strides[0],
                       run.at<float>(y) + image * images.y.strides[0], row, end, run.scratch<float>(worker));
            } else {
              for (int64_t r = row; r < end; ++r)
                take_nearest(images, run.at<std::byte>(x), run.at<std::byte>(y), image, r);
            }
            first += end - row;
          }
        });
  };
  return step;
}

}  // namespace

const StepDef resize_step = {"resize", refuse, streaming_cost_us, prepare};

}  // namespace octet::cpu
