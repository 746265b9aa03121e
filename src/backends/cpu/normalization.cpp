// BatchNormalization (scale and shift per channel) and LayerNormalization along the last axis.
#include <cmath>

#include "backends/cpu/constants.h"
#include "backends/cpu/lines.h"
#include "backends/cpu/rows.h"
#include "kernels/normalize/normalize.h"

namespace octet::cpu {
namespace {

std::string refuse_batch(const StepQuery& query) {
  if (query.dtype(0) != DType::f32) return "the input is " + std::string(name(query.dtype(0))) + ", not f32";
  for (size_t i = 1; i < 5; ++i) {
    if (!is_constant(query.graph, query.id(i))) return "input " + std::to_string(i) + " is not a constant";
  }
  const size_t rank = query.shape(0)->size();
  return rank == 2 || rank == 4 ? "" : "an input that is neither rank 2 nor rank 4";
}

/// y = x * scale[c] + shift[c], scale = gamma / sqrt(var + epsilon), shift = beta - mean * scale, channels innermost.
Result<PreparedStep> prepare_batch(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  const double epsilon = float_attribute(query.node, "epsilon", 1e-5f);
  std::vector<float> p[4];  // gamma, beta, mean, var
  for (size_t i = 0; i < 4; ++i) p[i] = constant_floats(query.graph, query.id(i + 1));
  std::vector<float> scale, shift;
  for (size_t c = 0; c < p[0].size(); ++c) {
    const double s = static_cast<double>(p[0][c]) / std::sqrt(static_cast<double>(p[3][c]) + epsilon);
    scale.push_back(static_cast<float>(s));
    shift.push_back(static_cast<float>(static_cast<double>(p[1][c]) - static_cast<double>(p[2][c]) * s));
  }
  PreparedStep step;
  const int64_t channels = x->layout.channels(), pitch = x->layout.is_nhwc() ? x->layout.pitch() : channels;
  const int64_t pixels = pitch == 0 ? 0 : x->layout.elements / pitch;
  step.run = [=, x = x->place, y = y.place](const RunContext& run) {
    const float* px = run.at<float>(x);
    float* py = run.at<float>(y);
    run.parallel(pixels, channels, [&](int64_t first, int64_t last, int) {
      for (int64_t pixel = first; pixel < last; ++pixel) {
        for (int64_t c = 0; c < channels; ++c) {
          const auto i = static_cast<size_t>(c);
          py[pixel * pitch + c] = px[pixel * pitch + c] * scale[i] + shift[i];
        }
      }
    });
  };
  return step;
}

std::string refuse_layer(const StepQuery& query) {
  for (size_t i = 1; i < query.node.outputs.size(); ++i)
    if (query.node.outputs[i] != k_absent) return "the outputs of mean and deviation";
  if (query.dtype(0) != DType::f32) return "the input is " + std::string(name(query.dtype(0))) + ", not f32";
  for (size_t i = 1; i < query.input_count(); ++i) {
    if (query.has_input(i) && !is_constant(query.graph, query.id(i)))
      return "input " + std::to_string(i) + " is not a constant";
    if (query.has_input(i) && element_count(query.dims(i)) != query.dims(0).back())
      return "input " + std::to_string(i) + " is not one value per element of the last axis";
  }
  const auto rank = static_cast<int64_t>(query.shape(0)->size());
  const int64_t axis = int_attribute(query.node, "axis", -1);
  return axis == -1 || axis == rank - 1 ? "" : "more than the last axis";
}

Result<PreparedStep> prepare_layer(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Lines lines(builder.output(query), *x, x->layout.rank() - 1);
  const double epsilon = float_attribute(query.node, "epsilon", 1e-5f);
  const std::vector<float> scale = constant_floats(query.graph, query.id(1));
  std::vector<float> bias = constant_floats(query.graph, query.id(2));
  bias.resize(scale.size(), 0.0f);
  PreparedStep step{.scratch_bytes = lines.scratch_bytes(), .in_team = true};
  step.run = [=, work = normalize_kernels(query.isa).layer](const RunContext& run) {
    for_lines(run, lines, [&](float* line, int64_t count, int64_t n, int64_t apart) {
      work(line, static_cast<size_t>(count), static_cast<size_t>(n), apart, epsilon, scale.data(), bias.data());
    });
  };
  return step;
}

}  // namespace

const StepDef batch_normalization_f32_step = {"batch_normalization_f32", refuse_batch, streaming_cost_us,
                                              prepare_batch};
const StepDef layer_normalization_f32_step = {"layer_normalization_f32", refuse_layer, streaming_cost_us,
                                              prepare_layer};

}  // namespace octet::cpu
