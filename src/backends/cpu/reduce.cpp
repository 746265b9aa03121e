// Reductions of f32 over any axes (ReduceMean, ReduceSum, ReduceSumSquare, ReduceL1, ReduceL2, ReduceMax, ReduceMin,
// GlobalMaxPool), accumulated in double; the mean over the pixels of images runs on the pooling kernel.
#include <cmath>
#include <limits>

#include "backends/cpu/constants.h"
#include "backends/cpu/rows.h"
#include "backends/cpu/step.h"
#include "kernels/pool/pool.h"

namespace octet::cpu {
namespace {

enum class Kind { mean, sum, sum_of_squares, l1, l2, max, min };

Kind kind_of(const StepQuery& query) {
  const std::string_view op = query.node.op->name;
  if (op == "ReduceMean") return Kind::mean;
  if (op == "ReduceSum") return Kind::sum;
  if (op == "ReduceSumSquare") return Kind::sum_of_squares;
  if (op == "ReduceL1") return Kind::l1;
  if (op == "ReduceL2") return Kind::l2;
  return op == "ReduceMin" ? Kind::min : Kind::max;
}

/// By axis of input 0: is it reduced.
std::vector<bool> reduced_axes(const StepQuery& query) {
  const size_t rank = query.shape(0)->size();
  std::vector<bool> reduced(rank, false);
  if (is_op(query.node, "GlobalMaxPool")) {
    std::fill(reduced.begin() + 2, reduced.end(), true);
    return reduced;
  }
  const std::vector<int64_t> axes = constant_ints(query.graph, query.id(1)).value_or(std::vector<int64_t>());
  if (axes.empty()) return std::vector<bool>(rank, int_attribute(query.node, "noop_with_empty_axes", 0) == 0);
  for (const int64_t axis : axes)
    reduced[static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(rank) : axis)] = true;
  return reduced;
}

std::string refuse(const StepQuery& query) {
  if (query.dtype(0) != DType::f32) return "the input is " + std::string(name(query.dtype(0))) + ", not f32";
  if (query.has_input(1) && !is_constant(query.graph, query.id(1))) return "the axes are not constant";
  return query.shape(0)->size() > StridedLoop::k_max_rank ? "more than 10 dimensions" : "";
}

bool is_sum(Kind kind) { return kind != Kind::max && kind != Kind::min; }

double start_of(Kind kind) {
  constexpr double k_infinity = std::numeric_limits<double>::infinity();
  if (is_sum(kind)) return 0.0;
  return kind == Kind::max ? -k_infinity : k_infinity;
}

template <Kind kind>
double joined(double acc, double v) {
  if constexpr (kind == Kind::mean || kind == Kind::sum) return acc + v;
  if constexpr (kind == Kind::sum_of_squares || kind == Kind::l2) return acc + v * v;
  if constexpr (kind == Kind::l1) return acc + std::fabs(v);
  if constexpr (kind == Kind::max) return std::isnan(v) || v > acc ? v : acc;  // a NaN, once in acc, compares false
  if constexpr (kind == Kind::min) return std::isnan(v) || v < acc ? v : acc;
}

template <Kind kind>
float finished(double acc, int64_t count) {
  if constexpr (kind == Kind::mean) acc /= static_cast<double>(count);
  if constexpr (kind == Kind::l2) acc = std::sqrt(acc);
  return static_cast<float>(acc);
}

/// The reduction of all elements of `inner` around x.
template <Kind kind>
float reduce_one(const StridedLoop& inner, const float* x) {
  double acc = start_of(kind);
  for (int64_t r = 0; r < inner.rows(); ++r) {
    const float* row = x + inner.row_offsets(r)[0];
    for (int64_t i = 0; i < inner.row_length(); ++i) acc = joined<kind>(acc, row[i * inner.row_stride(0)]);
  }
  return finished<kind>(acc, inner.rows() * inner.row_length());
}

/// Reductions to `count` neighbouring elements of y, each of elements at the same distances from its own: in the order
/// of reduce_one(), and so with its bits, but as vectors.
template <Kind kind>
void reduce_row(const StridedLoop& inner, const float* x, int64_t count, float* y) {
  constexpr int64_t k_block = 64;
  for (int64_t first = 0; first < count; first += k_block) {
    const int64_t n = std::min(k_block, count - first);
    double acc[k_block];
    std::fill_n(acc, k_block, start_of(kind));
    for (int64_t r = 0; r < inner.rows(); ++r) {
      const float* row = x + first + inner.row_offsets(r)[0];
      for (int64_t i = 0; i < inner.row_length(); ++i, row += inner.row_stride(0)) {
        if (n == k_block) {
          for (int64_t k = 0; k < k_block; ++k) acc[k] = joined<kind>(acc[k], static_cast<double>(row[k]));
        } else {
          for (int64_t k = 0; k < n; ++k) acc[k] = joined<kind>(acc[k], static_cast<double>(row[k]));
        }
      }
    }
    for (int64_t k = 0; k < n; ++k) y[first + k] = finished<kind>(acc[k], inner.rows() * inner.row_length());
  }
}

/// Rows [first, last) of outer, whose operands are y and x.
template <Kind kind>
void reduce_rows(const StridedLoop& outer, const StridedLoop& inner, const float* x, float* y, int64_t first,
                 int64_t last) {
  for (int64_t r = first; r < last; ++r) {
    const StridedLoop::Offsets at = outer.row_offsets(r);
    if (outer.row_stride(0) == 1 && outer.row_stride(1) == 1) {
      reduce_row<kind>(inner, x + at[1], outer.row_length(), y + at[0]);
      continue;
    }
    for (int64_t i = 0; i < outer.row_length(); ++i)
      y[at[0] + i * outer.row_stride(0)] = reduce_one<kind>(inner, x + at[1] + i * outer.row_stride(1));
  }
}

struct Reduce {
  void (*rows)(const StridedLoop&, const StridedLoop&, const float*, float*, int64_t, int64_t);
  void (*row)(const StridedLoop&, const float*, int64_t, float*);
};
template <Kind kind>
constexpr Reduce k_reduce = {reduce_rows<kind>, reduce_row<kind>};

Reduce reduce_of(Kind kind) {
  switch (kind) {
    case Kind::mean: return k_reduce<Kind::mean>;
    case Kind::sum: return k_reduce<Kind::sum>;
    case Kind::sum_of_squares: return k_reduce<Kind::sum_of_squares>;
    case Kind::l1: return k_reduce<Kind::l1>;
    case Kind::l2: return k_reduce<Kind::l2>;
    case Kind::max: return k_reduce<Kind::max>;
    case Kind::min: return k_reduce<Kind::min>;
  }
  return {};
}

/// Rows of x without gaps whose results lie apart in y, and rows that follow each other side by side there, as planes
/// that become an image do: tiles of both.
class Tiles {
 public:
  /// The operands of outer are x and y, in the order of x.
  Tiles(const StridedLoop& outer, const StridedLoop& inner) : outer_(outer), inner_(inner) {}
  static bool are_of(const StridedLoop& outer) {
    return outer.row_stride(0) == 1 && outer.row_stride(1) != 1 && outer.inner_stride(1) == 1;
  }

  int64_t count() const { return outer_.rows() == 0 ? 0 : outer_.rows() / outer_.inner_rows() * groups() * blocks(); }
  int64_t cost() const {
    const int64_t results = std::min(k_rows, outer_.inner_rows()) * std::min(k_columns, outer_.row_length());
    return results * inner_.rows() * inner_.row_length();
  }

  void run(const Reduce& reduce, const float* x, float* y, int64_t tile) const {
    const int64_t column = tile % blocks() * k_columns, first = tile / blocks() % groups() * k_rows;
    const StridedLoop::Offsets at = outer_.row_offsets(tile / blocks() / groups() * outer_.inner_rows() + first);
    const int64_t rows = std::min(k_rows, outer_.inner_rows() - first);
    const int64_t columns = std::min(k_columns, outer_.row_length() - column), step = outer_.row_stride(1);
    float results[k_rows][k_columns];
    for (int64_t r = 0; r < rows; ++r)
      reduce.row(inner_, x + at[0] + r * outer_.inner_stride(0) + column, columns, results[r]);
    float* to = y + at[1] + column * step;
    for (int64_t c = 0; c < columns; ++c, to += step)
      for (int64_t r = 0; r < rows; ++r) to[r] = results[r][c];
  }

 private:
  static constexpr int64_t k_rows = 16, k_columns = 64;
  int64_t groups() const { return (outer_.inner_rows() + k_rows - 1) / k_rows; }
  int64_t blocks() const { return (outer_.row_length() + k_columns - 1) / k_columns; }

  StridedLoop outer_, inner_;
};

PreparedStep mean_of_pixels(const Operand& x, const Operand& y, Isa isa) {
  PreparedStep step;
  const int64_t y_pitch = y.layout.is_nhwc() ? y.layout.pitch() : y.layout.channels();
  step.run = [layout = x.layout, x = x.place, y = y.place, y_pitch,
              average = pool_kernels(isa).global_average_f32](const RunContext& run) {
    const int64_t pixels = layout.pixels(), pitch = layout.pitch();
    const float* px = run.at<float>(x);
    float* py = run.at<float>(y);
    run.parallel(layout.batch(), pixels * pitch, [&](int64_t first, int64_t last, int) {
      for (int64_t n = first; n < last; ++n)
        average(px + n * pixels * pitch, pixels, layout.channels(), pitch, py + n * y_pitch);
    });
  };
  return step;
}

Result<PreparedStep> prepare(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  const std::vector<bool> reduced = reduced_axes(query);
  const Kind kind = kind_of(query);
  if (kind == Kind::mean && x->layout.is_nhwc() && reduced == std::vector<bool>{false, false, true, true})
    return mean_of_pixels(*x, y, query.isa);
  Dims kept, kept_x, kept_y, inner, inner_x;
  size_t y_axis = 0;
  const bool keep_dims = int_attribute(query.node, "keepdims", 1) != 0;
  for (size_t i = 0; i < reduced.size(); ++i) {
    if (reduced[i]) {
      inner.push_back(x->layout.dims[i]);
      inner_x.push_back(x->layout.strides[i]);
      y_axis += keep_dims ? 1 : 0;
    } else {
      kept.push_back(x->layout.dims[i]);
      kept_x.push_back(x->layout.strides[i]);
      kept_y.push_back(y.layout.strides[y_axis++]);
    }
  }
  PreparedStep step;
  const StridedLoop along_x(kept, {kept_x, kept_y}), reduced_x(inner, {inner_x});
  if (Tiles::are_of(along_x)) {
    step.run = [tiles = Tiles(along_x, reduced_x), reduce = reduce_of(kind), x = x->place,
                y = y.place](const RunContext& run) {
      run.parallel(tiles.count(), tiles.cost(), [&](int64_t first, int64_t last, int) {
        for (int64_t t = first; t < last; ++t) tiles.run(reduce, run.at<float>(x), run.at<float>(y), t);
      });
    };
    return step;
  }
  step.run = [reduce = reduce_of(kind), outer = StridedLoop(kept, {kept_y, kept_x}), inner = reduced_x, x = x->place,
              y = y.place](const RunContext& run) {
    const float* px = run.at<float>(x);
    float* py = run.at<float>(y);
    const int64_t cost = outer.row_length() * inner.rows() * inner.row_length();
    run.parallel(outer.rows(), cost,
                 [&](int64_t first, int64_t last, int) { reduce.rows(outer, inner, px, py, first, last); });
  };
  return step;
}

}  // namespace

const StepDef reduce_f32_step = {"reduce_f32", refuse, streaming_cost_us, prepare};

}  // namespace octet::cpu
