// QuantMatMul: products of two matrices of codes that are known at run time only (attention). Each matrix is brought
// into s16 without its zero point, b in panels of 16 columns, and multiplied by the matmul_s16 kernels; where these can
// (AVX512-VNNI), codes are multiplied as they are, four at a time, and zero points are taken out of the sums. A result
// is requantized or scaled row by row. A unit of work is one matrix of the batch.
#include <cstring>

#include "backends/cpu/requantize.h"
#include "backends/cpu/step.h"
#include "backends/cpu/strided.h"
#include "kernels/activation/activation.h"
#include "kernels/matmul_s16/matmul_s16.h"

namespace octet::cpu {
namespace {

std::string refuse(const StepQuery& query) {
  for (const size_t i : {size_t{0}, size_t{1}})
    if (query.shape(i)->size() < 2) return "input " + std::to_string(i) + " is a vector";
  return query.output_dims().size() > StridedLoop::k_max_rank ? "more than 10 dimensions" : "";
}

double cost_us(const StepQuery& query) {
  const int64_t outputs = element_count(query.output_dims()).value_or(0);
  return 2 + static_cast<double>(outputs * query.dims(0).back()) / 20e3;
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

Dims batch_strides(const Layout& layout, const Dims& batch_dims) {
  const auto outer = static_cast<ptrdiff_t>(layout.rank() - 2);
  const Dims dims(layout.dims.begin(), layout.dims.begin() + outer);
  const Dims strides(layout.strides.begin(), layout.strides.begin() + outer);
  return broadcast_strides(dims, strides, batch_dims);
}

int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

struct Product {
  Matrix a, b, y;
  Codes ac, bc;
  OutputForm form;
  float multiplier = 0;
  MatMulS16Kernels kernels;
  ActivationKernels activation;

  /// a is read where it lies, and b in fours of codes.
  bool is_by_quads() const {
    return kernels.multiply_quads && a.columns > 0 && a.columns % 4 == 0 && a.column_stride == 1 &&
           (b.column_stride == 1 || b.row_stride == 1);
  }
  int64_t pairs() const { return (a.columns + 1) / 2; }
  int64_t pitch() const { return round_up(b.columns, k_matmul_s16_panel); }
  /// Packed a, packed b, sums, one row of floats and of codes.
  size_t a_bytes() const { return static_cast<size_t>(round_up(a.rows * pairs() * 4, 64)); }
  size_t b_bytes() const { return static_cast<size_t>(round_up(pitch() * pairs() * 4, 64)); }
  size_t sum_bytes() const { return static_cast<size_t>(round_up(a.rows * pitch() * 4, 64)); }
  size_t scratch_bytes() const {
    return a_bytes() + b_bytes() + sum_bytes() + static_cast<size_t>(round_up(pitch() * 5, 64));
  }

  void pack_a(const uint8_t* from, int16_t* to) const {
    const int64_t width = 2 * pairs();
    if (a.column_stride == 1 && a.row_stride == a.columns && width == a.columns)
      return kernels.centre_row(from, a.rows * a.columns, ac.zero_point, to);
    for (int64_t m = 0; m < a.rows; ++m, to += width) {
      const uint8_t* row = from + m * a.row_stride;
      if (a.column_stride == 1) {
        kernels.centre_row(row, a.columns, ac.zero_point, to);
      } else {
        for (int64_t k = 0; k < a.columns; ++k) to[k] = static_cast<int16_t>(row[k * a.column_stride] - ac.zero_point);
      }
      if (width > a.columns) to[a.columns] = 0;
    }
  }

  /// [panel][pair][16 columns][2]; columns and the odd k beyond the matrix are 0.
  void pack_b(const uint8_t* from, int16_t* to) const {
    for (int64_t first = 0; first < b.columns; first += k_matmul_s16_panel) {
      const int64_t columns = std::min(k_matmul_s16_panel, b.columns - first);
      const bool whole = columns == k_matmul_s16_panel && b.column_stride == 1;
      for (int64_t p = 0; p < pairs(); ++p, to += 2 * k_matmul_s16_panel) {
        if (whole && 2 * p + 1 < b.rows) {
          const uint8_t* even = from + 2 * p * b.row_stride + first;
          kernels.centre_pair(even, even + b.row_stride, bc.zero_point, to);
          continue;
        }
        std::fill_n(to, 2 * k_matmul_s16_panel, int16_t{0});
        for (int64_t half = 0; half < 2 && 2 * p + half < b.rows; ++half) {
          const uint8_t* row = from + (2 * p + half) * b.row_stride + first * b.column_stride;
          for (int64_t j = 0; j < columns; ++j)
            to[2 * j + half] = static_cast<int16_t>(row[j * b.column_stride] - bc.zero_point);
        }
      }
    }
  }

  /// [panel][quad][16 columns][4], codes - 128; columns beyond the matrix count for nothing.
  void pack_quads(const uint8_t* from, int8_t* to) const {
    constexpr int64_t k_panel = k_matmul_s16_panel;
    const int64_t quads = a.columns / 4;
    for (int64_t first = 0; first < b.columns; first += k_panel, to += quads * k_panel * 4) {
      const int64_t columns = std::min(k_panel, b.columns - first);
      const uint8_t* const panel = from + first * b.column_stride;
      if (columns == k_panel) {
        if (b.column_stride == 1)
          kernels.pack_quads(panel, b.row_stride, quads, to);
        else
          kernels.pack_quad_columns(panel, b.column_stride, quads, to);
        continue;
      }
      std::fill_n(to, quads * k_panel * 4, int8_t{0});
      for (int64_t k = 0; k < b.rows; ++k)
        for (int64_t j = 0; j < columns; ++j)
          to[(k / 4 * k_panel + j) * 4 + k % 4] =
              static_cast<int8_t>(panel[k * b.row_stride + j * b.column_stride] - 128);
    }
  }

  void find_sums(const uint8_t* pa, const uint8_t* pb, std::byte* packed_a, std::byte* packed_b, int32_t* sums) const {
    const int64_t panels = pitch() / k_matmul_s16_panel;
    if (is_by_quads()) {
      auto* const quads = reinterpret_cast<int8_t*>(packed_b);
      pack_quads(pb, quads);
      return kernels.multiply_quads(
          {pa, a.row_stride, a.rows, a.columns / 4, quads, panels, ac.zero_point, bc.zero_point, sums, pitch()});
    }
    auto* const s16_a = reinterpret_cast<int16_t*>(packed_a);
    auto* const s16_b = reinterpret_cast<int16_t*>(packed_b);
    pack_a(pa, s16_a);
    pack_b(pb, s16_b);
    kernels.panels(s16_a, s16_b, pairs(), a.rows, panels, sums, pitch());
  }

  /// row: floats, and behind them as many codes.
  void store_row(const int32_t* sums, float* row, std::byte* to) const {
    const int64_t n = b.columns;
    const auto count = static_cast<size_t>(n);
    const bool in_place = y.column_stride == 1;
    auto* values = form.to_f32 && in_place ? reinterpret_cast<float*>(to) : row;
    kernels.scale_row(sums, n, multiplier, values);
    if (form.on_values && form.activation.kind != ActivationKind::none)
      activation.activate(values, count, form.activation);
    if (form.to_f32) {
      float* y_row = reinterpret_cast<float*>(to);
      for (int64_t j = 0; !in_place && j < n; ++j) y_row[j * y.column_stride] = row[j];
      return;
    }
    auto* y_row = reinterpret_cast<uint8_t*>(to);
    auto* codes = in_place ? y_row : reinterpret_cast<uint8_t*>(row + pitch());
    const float scale = form.on_values ? form.inverse_y_scale : 1.0f;
    activation.quantize(row, count, scale, form.y_zero_point, form.lo, form.hi, codes);
    for (int64_t j = 0; !in_place && j < n; ++j) y_row[j * y.column_stride] = codes[j];
  }

  void run(const uint8_t* pa, const uint8_t* pb, std::byte* py, std::byte* scratch) const {
    auto* sums = reinterpret_cast<int32_t*>(scratch + a_bytes() + b_bytes());
    auto* row = reinterpret_cast<float*>(scratch + a_bytes() + b_bytes() + sum_bytes());
    find_sums(pa, pb, scratch, scratch + a_bytes(), sums);
    if (!form.on_values && y.column_stride == 1) {
      const SumsToCodes to{multiplier, form.y_zero_point, form.lo, form.hi};
      return kernels.quantize_rows(sums, a.rows, b.columns, pitch(), to, reinterpret_cast<uint8_t*>(py), y.row_stride);
    }
    const auto width = static_cast<int64_t>(form.to_f32 ? sizeof(float) : 1);
    for (int64_t m = 0; m < a.rows; ++m) store_row(sums + m * pitch(), row, py + m * y.row_stride * width);
  }
};

Result<PreparedStep> prepare(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> a = builder.input(query, 0), b = builder.input(query, 1);
  if (!a) return a.error();
  if (!b) return b.error();
  const Operand y = builder.output(query);
  const Dims batch(y.layout.dims.begin(), y.layout.dims.end() - 2);
  Product product{Matrix(a->layout),
                  Matrix(b->layout),
                  Matrix(y.layout),
                  codes_of(query.node, "a", query.dtype(0)),
                  codes_of(query.node, "b", query.dtype(1)),
                  output_form(query.node),
                  0,
                  matmul_s16_kernels(query.isa),
                  activation_kernels(query.isa)};
  product.multiplier =
      product.form.multiplier(static_cast<double>(product.ac.scale) * static_cast<double>(product.bc.scale));
  const StridedLoop matrices(
      batch, {batch_strides(y.layout, batch), batch_strides(a->layout, batch), batch_strides(b->layout, batch)});
  PreparedStep step{.scratch_bytes = product.scratch_bytes(), .in_team = true};
  step.run = [product, matrices, a = a->place, b = b->place, y = y.place](const RunContext& run) {
    const uint8_t *pa = run.at<uint8_t>(a), *pb = run.at<uint8_t>(b);
    std::byte* py = run.at<std::byte>(y);
    const int64_t per_row = matrices.row_length();
    const int64_t width = product.form.to_f32 ? 4 : 1;
    const int64_t cost = product.a.rows * product.b.rows * product.b.columns / 8;
    run.parallel(matrices.rows() * per_row, cost, [&](int64_t first, int64_t last, int worker) {
      for (int64_t unit = first; unit < last; ++unit) {
        const StridedLoop::Offsets at = matrices.row_offsets(unit / per_row);
        const int64_t i = unit % per_row;
        product.run(pa + at[1] + i * matrices.row_stride(1), pb + at[2] + i * matrices.row_stride(2),
                    py + (at[0] + i * matrices.row_stride(0)) * width, run.scratch<std::byte>(worker));
      }
    });
  };
  return step;
}

}  // namespace

const StepDef quant_matmul_step = {"matmul_s16", refuse, cost_us, prepare};

}  // namespace octet::cpu
