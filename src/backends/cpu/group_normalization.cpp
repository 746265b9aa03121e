// InstanceNormalization and GroupNormalization of f32: sums over the pixels of a group of channels in double, where the
// channels of a pixel lie side by side (images) or the pixels of a channel (all other values).
#include <cmath>

#include "backends/cpu/constants.h"
#include "backends/cpu/step.h"
#include "base/ceil_div.h"

namespace octet::cpu {
namespace {

std::string refuse(const StepQuery& query) {
  if (query.dtype(0) != DType::f32) return "the input is " + std::string(name(query.dtype(0))) + ", not f32";
  for (const size_t i : {size_t{1}, size_t{2}})
    if (!is_constant(query.graph, query.id(i))) return "input " + std::to_string(i) + " is not a constant";
  return "";
}

/// Elements from one image, channel and pixel to the next. A value's pixels lie at one distance in every layout.
struct Strides {
  int64_t image, channel, pixel;
};
Strides strides_of(const Layout& layout) {
  return {layout.strides[0], layout.strides[1], layout.rank() > 2 ? layout.strides.back() : 1};
}

/// Channels or pixels that are summed side by side.
constexpr int64_t k_lanes = 16;

/// sums[c] += term(value, c) over all pixels of `channels` channels at x.
template <class F>
void add_pixels(const float* x, const Strides& at, int64_t pixels, int64_t channels, double* sums, F term) {
  if (at.channel == 1) {
    for (int64_t first = 0; first < channels; first += k_lanes) {
      const int64_t n = std::min(k_lanes, channels - first);
      double acc[k_lanes] = {};
      for (int64_t p = 0; p < pixels; ++p) {
        const float* const pixel = x + p * at.pixel + first;
        if (n == k_lanes) {
          for (int64_t k = 0; k < k_lanes; ++k) acc[k] += term(static_cast<double>(pixel[k]), first + k);
        } else {
          for (int64_t k = 0; k < n; ++k) acc[k] += term(static_cast<double>(pixel[k]), first + k);
        }
      }
      for (int64_t k = 0; k < n; ++k) sums[first + k] += acc[k];
    }
    return;
  }
  for (int64_t c = 0; c < channels; ++c) {
    const float* const channel = x + c * at.channel;
    double acc[k_lanes] = {};
    int64_t p = 0;
    for (; p + k_lanes <= pixels; p += k_lanes)
      for (int64_t k = 0; k < k_lanes; ++k) acc[k] += term(static_cast<double>(channel[(p + k) * at.pixel]), c);
    for (; p < pixels; ++p) acc[0] += term(static_cast<double>(channel[p * at.pixel]), c);
    for (int64_t k = 0; k < k_lanes; ++k) sums[c] += acc[k];
  }
}

/// value(v, c) of every element.
template <class F>
void map_pixels(const float* x, const Strides& from, float* y, const Strides& to, int64_t pixels, int64_t channels,
                F value) {
  if (from.channel == 1 && to.channel == 1) {
    for (int64_t p = 0; p < pixels; ++p)
      for (int64_t c = 0; c < channels; ++c)
        y[p * to.pixel + c] = static_cast<float>(value(static_cast<double>(x[p * from.pixel + c]), c));
    return;
  }
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t p = 0; p < pixels; ++p)
      y[c * to.channel + p * to.pixel] =
          static_cast<float>(value(static_cast<double>(x[c * from.channel + p * from.pixel]), c));
}

/// In place of each channel's sum: that of its group over `divisor`.
void share_in_groups(double* sums, int64_t channels, int64_t group, double divisor) {
  for (int64_t first = 0; first < channels; first += group) {
    double sum = 0;
    for (int64_t c = first; c < first + group; ++c) sum += sums[c];
    for (int64_t c = first; c < first + group; ++c) sums[c] = sum / divisor;
  }
}

Result<PreparedStep> prepare(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  const Dims& dims = x->layout.dims;
  const int64_t channels = dims[1], batch = dims[0];
  const int64_t elements = element_count(dims).value_or(0);
  if (elements == 0) return PreparedStep{};
  const int64_t pixels = elements / (batch * channels);
  const int64_t groups =
      is_op(query.node, "InstanceNormalization") ? channels : int_attribute(query.node, "num_groups", 1);
  const int64_t group = channels / groups;
  const Strides from = strides_of(x->layout), to = strides_of(y.layout);
  // Channels that lie side by side share cache lines: whole groups of a few lines go to one worker.
  constexpr int64_t k_together = 64;
  const int64_t block = from.channel == 1 ? group * ceil_div(k_together, group) : group;
  const int64_t blocks = ceil_div(channels, block);
  const double epsilon = float_attribute(query.node, "epsilon", 1e-5f);
  PreparedStep step{.scratch_bytes = static_cast<size_t>(2 * block) * sizeof(double), .in_team = true};
  step.run = [=, scale = constant_floats(query.graph, query.id(1)), bias = constant_floats(query.graph, query.id(2)),
              x = x->place, y = y.place](const RunContext& run) {
    const float* const all_x = run.at<float>(x);
    float* const all_y = run.at<float>(y);
    run.parallel(batch * blocks, block * pixels, [&](int64_t first, int64_t last, int worker) {
      double* const means = run.scratch<double>(worker);
      double* const factors = means + block;
      for (int64_t unit = first; unit < last; ++unit) {
        const int64_t image = unit / blocks, channel = unit % blocks * block;
        const int64_t count = std::min(block, channels - channel);
        const auto divisor = static_cast<double>(group * pixels);
        const float* const px = all_x + image * from.image + channel * from.channel;
        float* const py = all_y + image * to.image + channel * to.channel;
        std::fill_n(means, 2 * block, 0.0);
        add_pixels(px, from, pixels, count, means, [](double v, int64_t) { return v; });
        share_in_groups(means, count, group, divisor);
        add_pixels(px, from, pixels, count, factors,
                   [means](double v, int64_t c) { return (v - means[c]) * (v - means[c]); });
        share_in_groups(factors, count, group, divisor);
        for (int64_t c = 0; c < count; ++c)
          factors[c] = static_cast<double>(scale[static_cast<size_t>(channel + c)]) / std::sqrt(factors[c] + epsilon);
        map_pixels(px, from, py, to, pixels, count, [&](double v, int64_t c) {
          return (v - means[c]) * factors[c] + static_cast<double>(bias[static_cast<size_t>(channel + c)]);
        });
      }
    });
  };
  return step;
}

}  // namespace

const StepDef group_normalization_f32_step = {"group_normalization_f32", refuse, streaming_cost_us, prepare};

}  // namespace octet::cpu
