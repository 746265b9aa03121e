// MatMul of two values of which neither need be constant (attention). y[m] = sum_k a[m,k] * b[k]: each row of the
// result is built from whole rows of b, so that the inner loop runs over neighbours; b is copied to dense rows first
// where it lies otherwise (a rank-4 value has its channels innermost).
#include "backends/cpu/step.h"
#include "backends/cpu/strided.h"

namespace octet::cpu {
namespace {

constexpr int64_t k_row_group = 32;  // rows of the result for which b is brought in once

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
  return 2 + static_cast<double>(outputs * query.dims(0).back()) / 4e3;  // slower than a packed Gemm
}

/// The last two dims of an operand.
struct Matrix {
  int64_t rows = 0, columns = 0, row_stride = 0, column_stride = 0;
  explicit Matrix(const Layout& layout)
      : rows(layout.dims[layout.rank() - 2]),
        columns(layout.dims.back()),
        row_stride(layout.strides[layout.rank() - 2]),
        column_stride(layout.strides.back()) {}
};

/// Strides of the leading dims, broadcast to the result's.
Dims batch_strides(const Layout& layout, const Dims& batch_dims) {
  const auto outer = static_cast<ptrdiff_t>(layout.rank() - 2);
  const Dims dims(layout.dims.begin(), layout.dims.begin() + outer);
  const Dims strides(layout.strides.begin(), layout.strides.begin() + outer);
  return broadcast_strides(dims, strides, batch_dims);
}

void add_scaled_row(float a, const float* b, int64_t n, float* y) {
  for (int64_t i = 0; i < n; ++i) y[i] += a * b[i];
}

struct Product {
  Matrix a, b, y;

  /// Rows [first, last) of one matrix of the result. scratch: one row of y, then all of b.
  void run_rows(const float* pa, const float* pb, float* py, int64_t first, int64_t last, float* scratch) const {
    const int64_t n = b.columns;
    float *const sums = scratch, *const dense = scratch + n;
    const bool copied = b.column_stride != 1;
    for (int64_t k = 0; copied && k < b.rows; ++k) {
      for (int64_t i = 0; i < n; ++i) dense[k * n + i] = pb[k * b.row_stride + i * b.column_stride];
    }
    for (int64_t m = first; m < last; ++m) {
      std::fill_n(sums, n, 0.0f);
      for (int64_t k = 0; k < b.rows; ++k) {
        const float* row = copied ? dense + k * n : pb + k * b.row_stride;
        add_scaled_row(pa[m * a.row_stride + k * a.column_stride], row, n, sums);
      }
      for (int64_t i = 0; i < n; ++i) py[m * y.row_stride + i * y.column_stride] = sums[i];
    }
  }
};

Result<PreparedStep> prepare(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> a = builder.input(query, 0), b = builder.input(query, 1);
  if (!a) return a.error();
  if (!b) return b.error();
  const Operand y = builder.output(query);
  const Dims batch(y.layout.dims.begin(), y.layout.dims.end() - 2);
  const Product product{Matrix(a->layout), Matrix(b->layout), Matrix(y.layout)};
  const StridedLoop matrices(
      batch, {batch_strides(y.layout, batch), batch_strides(a->layout, batch), batch_strides(b->layout, batch)});
  const auto scratch = static_cast<size_t>(product.b.columns * (product.b.rows + 1));
  PreparedStep step{.scratch_bytes = scratch * sizeof(float)};
  step.run = [product, matrices, a = a->place, b = b->place, y = y.place](const RunContext& run) {
    const float *pa = run.at<float>(a), *pb = run.at<float>(b);
    float* py = run.at<float>(y);
    const int64_t groups = (product.y.rows + k_row_group - 1) / k_row_group, per_row = matrices.row_length();
    const int64_t cost = k_row_group * product.b.rows * product.b.columns;
    run.parallel(matrices.rows() * per_row * groups, cost, [&](int64_t first, int64_t last, int worker) {
      for (int64_t unit = first; unit < last; ++unit) {
        const int64_t matrix = unit / groups, m = unit % groups * k_row_group, i = matrix % per_row;
        const StridedLoop::Offsets at = matrices.row_offsets(matrix / per_row);
        product.run_rows(pa + at[1] + i * matrices.row_stride(1), pb + at[2] + i * matrices.row_stride(2),
                         py + at[0] + i * matrices.row_stride(0), m, std::min(m + k_row_group, product.y.rows),
                         run.scratch<float>(worker));
      }
    });
  };
  return step;
}

}  // namespace

const StepDef matmul_f32_step = {"matmul_f32", refuse, cost_us, prepare};

}  // namespace octet::cpu
