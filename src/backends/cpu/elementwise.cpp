// Arithmetic of f32 values with broadcasting: Add, Sub, Mul, Div, Pow, PRelu, FusedAdd with its activation, and those
// of any number of inputs (Min, Max, Sum, Mean), folded from left to right.
#include "kernels/elementwise/elementwise.h"

#include <cmath>

#include "backends/cpu/constants.h"
#include "backends/cpu/requantize.h"
#include "backends/cpu/rows.h"
#include "backends/cpu/step.h"
#include "kernels/activation/activation.h"

namespace octet::cpu {
namespace {

using RowFn = void (*)(const float* a, const float* b, size_t n, float* y);

template <class F>
void each(const float* a, const float* b, size_t n, float* y, F op) {
  for (size_t i = 0; i < n; ++i) y[i] = op(a[i], b[i]);
}
void sub_row(const float* a, const float* b, size_t n, float* y) {
  each(a, b, n, y, [](float p, float q) { return p - q; });
}
void div_row(const float* a, const float* b, size_t n, float* y) {
  each(a, b, n, y, [](float p, float q) { return p / q; });
}
// Min and Max as NumPy has them: a NaN on either side stays.
void min_row(const float* a, const float* b, size_t n, float* y) {
  each(a, b, n, y, [](float p, float q) { return std::isnan(p) || p < q ? p : q; });
}
void max_row(const float* a, const float* b, size_t n, float* y) {
  each(a, b, n, y, [](float p, float q) { return std::isnan(p) || p > q ? p : q; });
}
void pow_row(const float* a, const float* b, size_t n, float* y) {
  each(a, b, n, y, [](float p, float q) { return q == 2.0f ? p * p : std::pow(p, q); });
}

RowFn row_function(std::string_view op, Isa isa) {
  if (op == "Add" || op == "FusedAdd" || op == "Sum" || op == "Mean") return elementwise_kernels(isa).add_f32;
  if (op == "Mul") return elementwise_kernels(isa).mul_f32;
  if (op == "Sub") return sub_row;
  if (op == "Div") return div_row;
  if (op == "Min") return min_row;
  if (op == "Max") return max_row;
  if (op == "PRelu") return elementwise_kernels(isa).prelu_f32;
  return pow_row;
}

std::string refuse(const StepQuery& query) {
  for (size_t i = 0; i < query.input_count(); ++i) {
    if (query.dtype(i) != DType::f32)
      return "input " + std::to_string(i) + " is " + std::string(name(query.dtype(i))) + ", not f32";
  }
  if (query.input_count() == 1) return "a single input";
  return query.output_dims().size() > StridedLoop::k_max_rank ? "more than 10 dimensions" : "";
}

/// y = op(a, b); a may be y itself.
struct Pass {
  StridedLoop loop;
  Place y, a, b;
};

struct Pair {
  RowFn row;
  void (*activate)(float* v, size_t n, ActivationParams activation);
  ActivationParams activation;
  float divisor;  // of Mean, else 1

  void finish(float* y, size_t n) const {
    if (activation.kind != ActivationKind::none) activate(y, n, activation);
    if (divisor == 1.0f) return;
    for (size_t i = 0; i < n; ++i) y[i] /= divisor;
  }
};

void run_pass(const RunContext& run, const Pass& pass, const Pair& pair, bool last) {
  const float *pa = run.at<float>(pass.a), *pb = run.at<float>(pass.b);
  float* py = run.at<float>(pass.y);
  for_row_blocks(run, pass.loop, [&](const StridedLoop::Offsets& at, int64_t n, int worker) {
    float* const scratch = run.scratch<float>(worker);
    const float* ra = contiguous_row(pa + at[1], pass.loop.row_stride(1), n, scratch);
    const float* rb = contiguous_row(pb + at[2], pass.loop.row_stride(2), n, scratch + k_row_block);
    pair.row(ra, rb, static_cast<size_t>(n), py + at[0]);
    if (last) pair.finish(py + at[0], static_cast<size_t>(n));
  });
}

Result<PreparedStep> prepare(const StepQuery& query, StepBuilder& builder) {
  const Operand y = builder.output(query);
  const size_t count = query.input_count();
  std::vector<Pass> passes;
  Result<Operand> so_far = builder.input(query, 0);
  if (!so_far) return so_far.error();
  for (size_t i = 1; i < count; ++i) {
    Result<Operand> next = builder.input(query, i);
    if (!next) return next.error();
    passes.push_back({element_loop(y.layout, {&so_far->layout, &next->layout}), y.place, so_far->place, next->place});
    so_far = y;
  }
  const Pair pair{row_function(query.node.op->name, query.isa), activation_kernels(query.isa).activate,
                  fused_activation(query.node), is_op(query.node, "Mean") ? static_cast<float>(count) : 1.0f};
  PreparedStep step{.scratch_bytes = 2 * k_row_block * sizeof(float), .in_team = true};
  step.run = [passes = std::move(passes), pair](const RunContext& run) {
    for (const Pass& pass : passes) run_pass(run, pass, pair, &pass == &passes.back());
  };
  return step;
}

}  // namespace

const StepDef elementwise_f32_step = {"elementwise_f32", refuse, streaming_cost_us, prepare};

}  // namespace octet::cpu
