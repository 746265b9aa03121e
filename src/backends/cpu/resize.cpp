// Resize of images along height and width: nearest for every dtype, linear and cubic for f32. Which input pixels make
// an output pixel is worked out when the plan is prepared.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "backends/cpu/constants.h"
#include "backends/cpu/step.h"
#include "ir/ops/resize_coordinates.h"
#include "kernels/elementwise/elementwise.h"

namespace octet::cpu {
namespace {

constexpr size_t k_most_taps = 4;  // cubic; linear has 2

/// Output element i of an axis is the sum of weight * x[at]; nearest takes the first.
struct Tap {
  std::array<int64_t, k_most_taps> at = {};
  std::array<float, k_most_taps> weight = {};
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
  if (int_attribute(query.node, "antialias", 0) != 0) return "antialias";
  if (string_attribute(query.node, "keep_aspect_ratio_policy", "stretch") != "stretch") return "a kept aspect ratio";
  if (int_attribute(query.node, "exclude_outside", 0) != 0) return "exclude_outside";
  if (string_attribute(query.node, "coordinate_transformation_mode", "") == "tf_crop_and_resize") return "a crop";
  if (query.shape(0)->size() != 4) return "only images (a rank-4 input)";
  const Dims x = query.dims(0), y = query.output_dims();
  if (x[0] != y[0] || x[1] != y[1]) return "a batch or channel axis of another extent";
  if (scale_of(query, 0) != 1 || scale_of(query, 1) != 1) return "a batch or channel axis of another scale";
  if (x[2] == 0 || x[3] == 0) return "an image without pixels";
  const std::string mode = string_attribute(query.node, "mode", "nearest");
  if (mode != "nearest" && query.dtype(0) != DType::f32)
    return mode + " interpolation of " + std::string(name(query.dtype(0))) + ", not f32";
  return "";
}

/// Weights of the elements -1, 0, 1 and 2 from the one below a coordinate that lies t above it. Source: ONNX operator
/// Resize, opset 19 (R. Keys' convolution; a = cubic_coeff_a).
std::array<double, k_most_taps> cubic_weights(double t, double a) {
  const auto near = [a](double d) { return ((a + 2) * d - (a + 3)) * d * d + 1; };       // d <= 1
  const auto far = [a](double d) { return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a; };  // 1 < d < 2
  return {far(1 + t), near(t), near(1 - t), far(2 - t)};
}

int taps_of_mode(const StepQuery& query) {
  const std::string mode = string_attribute(query.node, "mode", "nearest");
  return mode == "cubic" ? 4 : mode == "linear" ? 2 : 1;
}

std::vector<Tap> taps_of(const StepQuery& query, size_t axis) {
  const int64_t n = query.dims(0)[axis], m = query.output_dims()[axis];
  const double scale = scale_of(query, axis), a = float_attribute(query.node, "cubic_coeff_a", -0.75f);
  const std::string mode = string_attribute(query.node, "coordinate_transformation_mode", "half_pixel");
  const std::string nearest = string_attribute(query.node, "nearest_mode", "round_prefer_floor");
  const int count = taps_of_mode(query);
  const auto clamped = [n](double c) { return static_cast<int64_t>(std::clamp(c, 0.0, static_cast<double>(n - 1))); };
  std::vector<Tap> taps;
  for (int64_t i = 0; i < m; ++i) {
    const double c =
        scale == 1.0 && n == m ? static_cast<double>(i) : resize_coordinate(i, {n, m, scale}, mode, count == 1);
    const double low = std::floor(c);
    const auto t = static_cast<float>(c - low);
    if (count == 1) {
      taps.push_back({{clamped(resize_nearest(c, nearest))}, {1.0f}});
    } else if (count == 2) {
      taps.push_back({{clamped(low), clamped(low + 1)}, {1 - t, t}});
    } else {
      const std::array<double, k_most_taps> w = cubic_weights(c - low, a);
      Tap tap;
      for (size_t k = 0; k < k_most_taps; ++k)
        tap.at[k] = clamped(low + static_cast<double>(k) - 1), tap.weight[k] = static_cast<float>(w[k]);
      taps.push_back(tap);
    }
  }
  return taps;
}

struct Images {
  Layout x, y;
  std::vector<Tap> rows, columns;
  int taps = 1;
  decltype(ElementwiseKernels::mix_f32) mix = nullptr;
  int64_t size() const { return static_cast<int64_t>(x.element_bytes); }
  int64_t channels() const { return x.channels(); }
};

void take_nearest(const Images& im, const std::byte* x, std::byte* y, int64_t image, int64_t row) {
  const std::byte* const line =
      x + (image * im.x.strides[0] + im.rows[static_cast<size_t>(row)].at[0] * im.x.strides[2]) * im.size();
  std::byte* to = y + (image * im.y.strides[0] + row * im.y.strides[2]) * im.size();
  for (const Tap& h : im.columns) {
    std::memcpy(to, line + h.at[0] * im.x.strides[3] * im.size(), static_cast<size_t>(im.channels() * im.size()));
    to += im.y.strides[3] * im.size();
  }
}

/// Rows of input pixels mixed along the width, dense, as many as an output row mixes: the rows that follow mix the same
/// ones or the next.
class MixedLines {
 public:
  MixedLines(const Images& im, const float* image, float* memory) : im_(im), image_(image), memory_(memory) {}

  const float* line(int64_t i) {
    const int64_t slot = i % im_.taps;
    float* const to = memory_ + slot * length();
    if (held_[slot] != i) mix(image_ + i * im_.x.strides[2], to);
    held_[slot] = i;
    return to;
  }
  int64_t length() const { return static_cast<int64_t>(im_.columns.size()) * im_.channels(); }

 private:
  void mix(const float* from, float* to) const {
    const int64_t channels = im_.channels(), stride = im_.x.strides[3];
    for (const Tap& h : im_.columns) {
      const float* x[k_most_taps];
      for (int k = 0; k < im_.taps; ++k) x[k] = from + h.at[static_cast<size_t>(k)] * stride;
      if (channels >= 8)
        im_.mix(x, h.weight.data(), im_.taps, static_cast<size_t>(channels), to);
      else if (im_.taps == 2)
        for (int64_t c = 0; c < channels; ++c) to[c] = x[0][c] * h.weight[0] + x[1][c] * h.weight[1];
      else
        for (int64_t c = 0; c < channels; ++c)
          to[c] = x[0][c] * h.weight[0] + x[1][c] * h.weight[1] + x[2][c] * h.weight[2] + x[3][c] * h.weight[3];
      to += channels;
    }
  }

  const Images& im_;
  const float* image_;
  float* memory_;
  int64_t held_[k_most_taps] = {-1, -1, -1, -1};
};

/// Rows [first, last) of one image.
void mix_rows(const Images& im, const float* x, float* y, int64_t first, int64_t last, float* memory) {
  MixedLines lines(im, x, memory);
  const int64_t channels = im.channels(), pitch = im.y.strides[3];
  for (int64_t row = first; row < last; ++row) {
    const Tap& v = im.rows[static_cast<size_t>(row)];
    const float* from[k_most_taps];
    for (int k = 0; k < im.taps; ++k) from[k] = lines.line(v.at[static_cast<size_t>(k)]);
    float* to = y + row * im.y.strides[2];
    if (pitch == channels) {
      im.mix(from, v.weight.data(), im.taps, static_cast<size_t>(lines.length()), to);
      continue;
    }
    for (size_t column = 0; column < im.columns.size(); ++column) {
      im.mix(from, v.weight.data(), im.taps, static_cast<size_t>(channels), to);
      for (int k = 0; k < im.taps; ++k) from[k] += channels;
      to += pitch;
    }
  }
}

Result<PreparedStep> prepare(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  const Images images{x->layout,           y.layout,
                      taps_of(query, 2),   taps_of(query, 3),
                      taps_of_mode(query), elementwise_kernels(query.isa).mix_f32};
  const auto line = static_cast<size_t>(images.y.dims[3] * images.channels());
  const bool mixes = images.taps > 1;
  PreparedStep step{.scratch_bytes = mixes ? static_cast<size_t>(images.taps) * line * sizeof(float) : 0};
  step.run = [images, mixes, x = x->place, y = y.place](const RunContext& run) {
    const int64_t height = images.y.dims[2];
    run.parallel(
        images.y.batch() * height, images.y.dims[3] * images.y.pitch(), [&](int64_t first, int64_t last, int worker) {
          while (first < last) {
            const int64_t image = first / height, row = first % height, end = std::min(height, row + last - first);
            if (mixes) {
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
