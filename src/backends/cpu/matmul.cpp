// MatMul of two values of which neither need be constant (attention): plain loops, row by row. y[m] = sum_k a[m,k] *
// b[k], each row of the result built from whole rows of b, so that the inner loop runs over neighbours.
#include <cmath>

#include "backends/cpu/step.h"
#include "backends/cpu/strided.h"

namespace octet::cpu {
namespace {

std::string refuse(const StepQuery& query) {
  for (const size_t i : {size_t{0}, size_t{1}}) {
    if (query.dtype(i) != DType::f32)
      return "input " + std::to_string(i) + " is " + std::string(name(query.dtype(i))) + ", not f32";
    if (query.shape(i)->size() < 2) return "input " + std::to_string(i) + " is a vector";
  }
  return query.output_dims().size() > StridedLoop::k_max_rank ? "more than 10 dimensions" : "";
}

double cost_us(const StepQuery& query) {
  const int64_t outputs = element_count(query.output_dims()).value_or(0);
  return 2 + static_cast<double>(outputs * query.dims(0).back()) / 2e3;  // slower than a packed Gemm of any ISA
}

/// Strides of the last two dims.
struct Matrix {
  int64_t row = 0, column = 0;
  explicit Matrix(const Layout& layout) : row(layout.strides[layout.rank() - 2]), column(layout.strides.back()) {}
};

void add_scaled_row(float a, const float* b, int64_t b_stride, int64_t n, float* y) {
  if (b_stride == 1) {
    for (int64_t i = 0; i < n; ++i) y[i] += a * b[i];
  } else {
    for (int64_t i = 0; i < n; ++i) y[i] += a * b[i * b_stride];
  }
}

Result<PreparedStep> prepare(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> a = builder.input(query, 0), b = builder.input(query, 1);
  if (!a) return a.error();
  if (!b) return b.error();
  const Operand y = builder.output(query);
  // Loop over all rows of all matrices of the result: its dims without the last one.
  Dims dims = y.layout.dims;
  const int64_t n = dims.back(), k = a->layout.dims.back();
  dims.pop_back();
  const auto batch_strides = [&](const Layout& layout, bool has_rows) {
    const auto outer = static_cast<ptrdiff_t>(layout.rank() - 2);
    Dims outer_dims(layout.dims.begin(), layout.dims.begin() + outer);
    Dims outer_strides(layout.strides.begin(), layout.strides.begin() + outer);
    outer_dims.push_back(has_rows ? dims.back() : 1);
    outer_strides.push_back(has_rows ? Matrix(layout).row : 0);
    return broadcast_strides(outer_dims, outer_strides, dims);
  };
  const StridedLoop rows(
      dims, {batch_strides(y.layout, true), batch_strides(a->layout, true), batch_strides(b->layout, false)});
  PreparedStep step{.scratch_bytes = static_cast<size_t>(n) * sizeof(float)};
  step.run = [=, am = Matrix(a->layout), bm = Matrix(b->layout), ym = Matrix(y.layout), a = a->place, b = b->place,
              y = y.place](const RunContext& run) {
    const float *pa = run.at<float>(a), *pb = run.at<float>(b);
    float* py = run.at<float>(y);
    const int64_t per_row = rows.row_length();
    run.parallel(rows.rows() * per_row, n * k, [&](int64_t first, int64_t last, int worker) {
      float* const sums = run.scratch<float>(worker);
      for (int64_t unit = first; unit < last; ++unit) {
        const StridedLoop::Offsets row = rows.row_offsets(unit / per_row);
        const int64_t i = unit % per_row;
        const float* ra = pa + row[1] + i * rows.row_stride(1);
        const float* rb = pb + row[2] + i * rows.row_stride(2);
        std::fill_n(sums, n, 0.0f);
        for (int64_t j = 0; j < k; ++j) add_scaled_row(ra[j * am.column], rb + j * bm.row, bm.column, n, sums);
        float* to = py + row[0] + i * rows.row_stride(0);
        for (int64_t j = 0; j < n; ++j) to[j * ym.column] = sums[j];
      }
    });
  };
  return step;
}

}  // namespace

const StepDef matmul_f32_step = {"matmul_f32", refuse, cost_us, prepare};

}  // namespace octet::cpu
