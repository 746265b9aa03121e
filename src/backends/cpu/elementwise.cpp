// Arithmetic of two f32 values with broadcasting: Add, Sub, Mul, Div, Min, Max, Pow, and FusedAdd with its activation.
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
  if (op == "Add" || op == "FusedAdd") return elementwise_kernels(isa).add_f32;
  if (op == "Mul") return elementwise_kernels(isa).mul_f32;
  if (op == "Sub") return sub_row;
  if (op == "Div") return div_row;
  if (op == "Min") return min_row;
  if (op == "Max") return max_row;
  return pow_row;
}

std::string refuse(const StepQuery& query) {
  if (query.input_count() != 2) return "not exactly two inputs";
  for (const size_t i : {size_t{0}, size_t{1}}) {
    if (query.dtype(i) != DType::f32)
      return "input " + std::to_string(i) + " is " + std::string(name(query.dtype(i))) + ", not f32";
  }
  return query.output_dims().size() > StridedLoop::k_max_rank ? "more than 10 dimensions" : "";
}

Result<PreparedStep> prepare(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> a = builder.input(query, 0), b = builder.input(query, 1);
  if (!a) return a.error();
  if (!b) return b.error();
  const Operand y = builder.output(query);
  const RowFn row = row_function(query.node.op->name, query.isa);
  const auto activate = activation_kernels(query.isa).activate;
  const ActivationParams activation = fused_activation(query.node);
  PreparedStep step{.scratch_bytes = 2 * k_row_block * sizeof(float)};
  step.run = [=, loop = element_loop(y.layout, {&a->layout, &b->layout}), a = a->place, b = b->place,
              y = y.place](const RunContext& run) {
    const float *pa = run.at<float>(a), *pb = run.at<float>(b);
    float* py = run.at<float>(y);
    for_row_blocks(run, loop, [&](const StridedLoop::Offsets& at, int64_t n, int worker) {
      float* const scratch = run.scratch<float>(worker);
      const float* ra = contiguous_row(pa + at[1], loop.row_stride(1), n, scratch);
      const float* rb = contiguous_row(pb + at[2], loop.row_stride(2), n, scratch + k_row_block);
      row(ra, rb, static_cast<size_t>(n), py + at[0]);
      if (activation.kind != ActivationKind::none) activate(py + at[0], static_cast<size_t>(n), activation);
    });
  };
  return step;
}

}  // namespace

const StepDef elementwise_f32_step = {"elementwise_f32", refuse, streaming_cost_us, prepare};

}  // namespace octet::cpu
