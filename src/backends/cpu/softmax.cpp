// Softmax and LogSoftmax along one axis: y = exp(x - max) / sum exp(x - max), and its logarithm.
#include <cmath>

#include "backends/cpu/lines.h"
#include "kernels/normalize/normalize.h"

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

void log_softmax_row(float* x, size_t count) {
  const auto n = static_cast<int64_t>(count);
  const float max = *std::max_element(x, x + n);
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += std::exp(static_cast<double>(x[i] - max));
  const double log_sum = std::log(sum);
  for (int64_t i = 0; i < n; ++i) x[i] = static_cast<float>(static_cast<double>(x[i] - max) - log_sum);
}

void log_softmax(float* x, size_t rows, size_t n, ptrdiff_t step) {
  for (size_t r = 0; r < rows; ++r, x += step) log_softmax_row(x, n);
}

Result<PreparedStep> prepare(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Lines lines(builder.output(query), *x, axis_of(query));
  PreparedStep step{.scratch_bytes = lines.scratch_bytes(), .in_team = true};
  step.run = [lines, work = is_op(query.node, "Softmax") ? normalize_kernels(query.isa).softmax
                                                         : log_softmax](const RunContext& run) {
    for_lines(run, lines, [&](float* line, int64_t count, int64_t n, int64_t apart) {
      work(line, static_cast<size_t>(count), static_cast<size_t>(n), apart);
    });
  };
  return step;
}

}  // namespace

const StepDef softmax_f32_step = {"softmax_f32", refuse, streaming_cost_us, prepare};

}  // namespace octet::cpu
