// MatMul of two values of which neither need be constant (attention). The kernels want rows of b dense and of whole
// registers: b is copied first where it lies otherwise (transposed, or a rank-4 value with its channels innermost).
#include "backends/cpu/step.h"
#include "backends/cpu/strided.h"
#include "kernels/matmul_f32/matmul_f32.h"

namespace octet::cpu {
namespace {

constexpr int64_t k_row_group = 64;  // rows of the result for which b is brought in once

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
  return 2 + static_cast<double>(outputs * query.dims(0).back()) / 2e4;  // slower than a packed Gemm
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

struct Product {
  Matrix a, b, y;
  void (*product)(const MatMulF32Args& args);

  int64_t pitch() const { return (b.columns + 15) / 16 * 16; }  // what the kernels read in one go
  bool is_b_copied() const { return b.column_stride != 1 || b.columns % 16 != 0; }
  bool is_y_copied() const { return y.column_stride != 1; }
  size_t scratch_floats() const {
    return static_cast<size_t>(pitch() * ((is_b_copied() ? b.rows : 0) + (is_y_copied() ? k_row_group : 0)));
  }

  /// Rows [first, last) of one matrix of the result. scratch: all of b, then rows of y, where either lies otherwise.
  void run_rows(const float* pa, const float* pb, float* py, int64_t first, int64_t last, float* scratch) const {
    MatMulF32Args args{pa + first * a.row_stride, a.row_stride, a.column_stride, pb,        b.row_stride,
                       py + first * y.row_stride, y.row_stride, last - first,    b.columns, b.rows};
    if (is_b_copied()) {
      for (int64_t k = 0; k < b.rows; ++k) {
        float* const dense = scratch + k * pitch();
        for (int64_t i = 0; i < b.columns; ++i) dense[i] = pb[k * b.row_stride + i * b.column_stride];
        std::fill_n(dense + b.columns, pitch() - b.columns, 0.0f);
      }
      args.b = scratch, args.b_row = pitch();
    }
    float* const rows = scratch + (is_b_copied() ? b.rows * pitch() : 0);
    if (is_y_copied()) args.y = rows, args.y_row = pitch();
    product(args);
    for (int64_t m = first; is_y_copied() && m < last; ++m)
      for (int64_t i = 0; i < b.columns; ++i)
        py[m * y.row_stride + i * y.column_stride] = rows[(m - first) * pitch() + i];
  }
};

Result<PreparedStep> prepare(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> a = builder.input(query, 0), b = builder.input(query, 1);
  if (!a) return a.error();
  if (!b) return b.error();
  const Operand y = builder.output(query);
  const Dims batch(y.layout.dims.begin(), y.layout.dims.end() - 2);
  const Product product{Matrix(a->layout), Matrix(b->layout), Matrix(y.layout), matmul_f32_kernels(query.isa).product};
  const StridedLoop matrices(
      batch, {batch_strides(y.layout, batch), batch_strides(a->layout, batch), batch_strides(b->layout, batch)});
  PreparedStep step{.scratch_bytes = product.scratch_floats() * sizeof(float), .in_team = true};
  step.run = [product, matrices, a = a->place, b = b->place, y = y.place](const RunContext& run) {
    const float *pa = run.at<float>(a), *pb = run.at<float>(b);
    float* py = run.at<float>(y);
    const int64_t groups = (product.y.rows + k_row_group - 1) / k_row_group, per_row = matrices.row_length();
    const int64_t cost = k_row_group * product.b.rows * product.b.columns / 8;
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
