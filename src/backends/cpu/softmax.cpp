// Softmax and LogSoftmax along one axis: y = exp(x - max) / sum exp(x - max), and its logarithm.
#include <cmath>

#include "backends/cpu/lines.h"
#include "tensor/activation.h"

namespace octet::cpu {
namespace {

size_t axis_of(const StepQuery& query) {
  const int64_t axis = int_attribute(query.node, "axis", -1);
  return static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(query.shape(0)->size()) : axis);
}

std::string refuse(const StepQuery& query) {
  if (query.dtype(0) != DType::f32) return "the input is " + std::string(name(query.dtype(0))) + ", not f32";
  return query.shape(0)->size() > StridedLoop::k_max_rank ? "more than 10 dimensions" : "";
}

void softmax(float* x, int64_t n) {
  const float max = *std::max_element(x, x + n);
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += x[i] = exp_f32(x[i] - max);
  const auto inverse = static_cast<float>(1.0 / sum);
  for (int64_t i = 0; i < n; ++i) x[i] *= inverse;
}

void log_softmax(float* x, int64_t n) {
  const float max = *std::max_element(x, x + n);
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += std::exp(static_cast<double>(x[i] - max));
  const double log_sum = std::log(sum);
  for (int64_t i = 0; i < n; ++i) x[i] = static_cast<float>(static_cast<double>(x[i] - max) - log_sum);
}

Result<PreparedStep> prepare(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Lines lines(builder.output(query), *x, axis_of(query));
  PreparedStep step{.scratch_bytes = lines.scratch_bytes()};
  step.run = [lines, work = is_op(query.node, "Softmax") ? softmax : log_softmax](const RunContext& run) {
    for_lines(run, lines, work);
  };
  return step;
}

}  // namespace

const StepDef softmax_f32_step = {"softmax_f32", refuse, streaming_cost_us, prepare};

}  // namespace octet::cpu
