// Steps that work along rows: reductions, Softmax, LayerNormalization, products of two activations.
#include "backends/cuda/step.h"

namespace octet::cuda {
namespace {

constexpr const char* k_too_large = "more than 2^31 elements or 8 dimensions";

std::string refuse_float(const StepQuery& query) {
  if (query.dtype(0) != DType::f32) return "the input is " + std::string(name(query.dtype(0))) + ", not f32";
  return "";
}

Reduce kind_of(const StepQuery& query) {
  const std::string_view op = query.node.op->name;
  if (op == "ReduceMean" || op == "GlobalAveragePool") return Reduce::mean;
  if (op == "ReduceSum") return Reduce::sum;
  return op == "ReduceMin" ? Reduce::min_ : Reduce::max_;
}
bool is_global(const StepQuery& query) {
  return is_op(query.node, "GlobalMaxPool") || is_op(query.node, "GlobalAveragePool");
}

/// By axis of input 0: is it reduced.
std::vector<bool> reduced_axes(const StepQuery& query) {
  const size_t rank = query.shape(0)->size();
  std::vector<bool> reduced(rank, false);
  if (is_global(query)) {
    std::fill(reduced.begin() + 2, reduced.end(), true);
    return reduced;
  }
  const std::vector<int64_t> axes = constant_ints(query.graph, query.id(1)).value_or(std::vector<int64_t>());
  if (axes.empty()) return std::vector<bool>(rank, int_attribute(query.node, "noop_with_empty_axes", 0) == 0);
  for (const int64_t axis : axes)
    reduced[static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(rank) : axis)] = true;
  return reduced;
}

std::string refuse_reduce(const StepQuery& query) {
  if (query.has_input(1) && !is_constant(query.graph, query.id(1))) return "the axes are not constant";
  return refuse_float(query);
}

Result<PreparedStep> prepare_reduce(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  const std::vector<bool> reduced = reduced_axes(query);
  Dims kept, inner;
  Dims of_kept[2], of_inner[2];  // y, x
  size_t y_axis = 0;
  const bool keep_dims = is_global(query) || int_attribute(query.node, "keepdims", 1) != 0;
  for (size_t i = 0; i < reduced.size(); ++i) {
    if (reduced[i]) {
      inner.push_back(x->layout.dims[i]);
      of_inner[0].push_back(x->layout.strides[i]);
      of_inner[1].push_back(x->layout.strides[i]);
      y_axis += keep_dims ? 1 : 0;
    } else {
      kept.push_back(x->layout.dims[i]);
      of_kept[0].push_back(y.layout.strides[y_axis++]);
      of_kept[1].push_back(x->layout.strides[i]);
    }
  }
  const std::optional<Strided> outer_loop = strided(kept, of_kept), inner_loop = strided(inner, of_inner);
  if (!outer_loop || !inner_loop) return query.error(k_too_large, ErrorCode::unsupported);
  return PreparedStep::of(
      sequence({clear_padding(y), [op = kind_of(query), store = y.layout.store, outer = *outer_loop,
                                   inner = *inner_loop, x = x->place, y = y.place](const Launch& run) {
                  return launch_reduce(op, store, outer, inner, run.at(y), run.at(x), run.stream);
                }}));
}

Result<PreparedStep> prepare_softmax(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  const int64_t given = int_attribute(query.node, "axis", -1);
  const size_t axis = static_cast<size_t>(given < 0 ? given + static_cast<int64_t>(x->layout.rank()) : given);
  Dims dims = y.layout.dims;
  const int64_t length = dims[axis];
  dims[axis] = length == 0 ? 0 : 1;
  const Dims strides[2] = {y.layout.strides, x->layout.strides};
  const std::optional<Strided> outer = strided(dims, strides);
  if (!outer) return query.error(k_too_large, ErrorCode::unsupported);
  return PreparedStep::of(
      sequence({clear_padding(y), [log = is_op(query.node, "LogSoftmax"), store = y.layout.store, outer = *outer,
                                   length, y_step = y.layout.strides[axis], x_step = x->layout.strides[axis],
                                   x = x->place, y = y.place](const Launch& run) {
                  return launch_softmax(log, store, outer, length, y_step, x_step, run.at(y), run.at(x), run.stream);
                }}));
}

std::string refuse_layer_norm(const StepQuery& query) {
  for (const size_t i : {size_t{1}, size_t{2}})
    if (query.has_input(i) && !is_constant(query.graph, query.id(i))) return "scale and bias have to be constants";
  for (size_t i = 1; i < query.node.outputs.size(); ++i)
    if (query.node.outputs[i] != k_absent) return "the outputs mean and inverse deviation";
  return refuse_float(query);
}

Result<PreparedStep> prepare_layer_norm(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  const int64_t given = int_attribute(query.node, "axis", -1);
  const size_t axis = static_cast<size_t>(given < 0 ? given + static_cast<int64_t>(x->layout.rank()) : given);
  const Layout& in = x->layout;
  const auto part = [&](const Dims& dims, bool inner) {
    const auto at = dims.begin() + static_cast<std::ptrdiff_t>(axis);
    return inner ? Dims(at, dims.end()) : Dims(dims.begin(), at);
  };
  LayerNormParams p;
  p.rows = element_count(part(in.dims, false)).value_or(0), p.length = element_count(part(in.dims, true)).value_or(0);
  p.epsilon = float_attribute(query.node, "epsilon", 1e-5f);
  for (const size_t i : {size_t{1}, size_t{2}}) {
    if (!query.has_input(i)) continue;
    std::vector<float> values = constant_floats(query.graph, query.id(i));
    if (values.size() == 1) values.assign(static_cast<size_t>(p.length), values[0]);
    if (values.size() != static_cast<size_t>(p.length))
      return query.error("scale or bias does not have one value per element of a row", ErrorCode::unsupported);
    Result<const void*> array = builder.upload(values);
    if (!array) return array.error();
    (i == 1 ? p.scale : p.bias) = static_cast<const float*>(*array);
  }
  if (!in.is_nhwc())
    return PreparedStep::of([p, store = y.layout.store, x = x->place, y = y.place](const Launch& run) {
      return launch_layer_norm(store, p, run.at(y), run.at(x), run.stream);
    });
  const Dims of_rows[2] = {part(y.layout.strides, false), part(in.strides, false)},
             of_row[2] = {part(y.layout.strides, true), part(in.strides, true)};
  // Scale and bias lie in a row's logical order.
  const std::optional<Strided> outer = strided(part(in.dims, false), of_rows),
                               inner = strided(part(in.dims, true), of_row, true);
  if (!outer || !inner) return query.error(k_too_large, ErrorCode::unsupported);
  return PreparedStep::of(sequence({clear_padding(y), [p, outer = *outer, inner = *inner, store = y.layout.store,
                                                       x = x->place, y = y.place](const Launch& run) {
                                      return launch_layer_norm(store, outer, inner, p, run.at(y), run.at(x),
                                                               run.stream);
                                    }}));
}

std::string refuse_matmul(const StepQuery& query) {
  if (query.dtype(1) != DType::f32) return "input 1 is " + std::string(name(query.dtype(1))) + ", not f32";
  if (query.shape(0)->size() < 2 || query.shape(1)->size() < 2) return "a vector operand";
  const Dims y = query.output_dims();
  constexpr int64_t k_most_tiles = 65535, k_tile_rows = 32;
  if (y[y.size() - 2] > k_most_tiles * k_tile_rows) return "more than 2097120 rows";
  return refuse_float(query);
}

Result<PreparedStep> prepare_matmul(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> a = builder.input(query, 0), b = builder.input(query, 1);
  if (!a || !b) return a ? b.error() : a.error();
  const Operand y = builder.output(query);
  const size_t rank = y.layout.rank();
  // Batch dims: all but the last two, of a and b broadcast to y's.
  const auto head = [&](const Layout& layout) {
    return std::pair(Dims(layout.dims.begin(), layout.dims.end() - 2),
                     Dims(layout.strides.begin(), layout.strides.end() - 2));
  };
  const auto [y_dims, y_strides] = head(y.layout);
  const auto [a_dims, a_strides] = head(a->layout);
  const auto [b_dims, b_strides] = head(b->layout);
  const Dims strides[3] = {y_strides, broadcast_strides(a_dims, a_strides, y_dims),
                           broadcast_strides(b_dims, b_strides, y_dims)};
  const std::optional<Strided> batch = strided(y_dims, strides);
  if (!batch || batch->count > 65535) return query.error("a batch of more than 65535 matrices", ErrorCode::unsupported);
  const size_t ra = a->layout.rank(), rb = b->layout.rank();
  MatMulParams p;
  p.m = static_cast<int>(y.layout.dims[rank - 2]), p.n = static_cast<int>(y.layout.dims[rank - 1]);
  p.k = static_cast<int>(a->layout.dims[ra - 1]);
  p.y_row = y.layout.strides[rank - 2], p.y_col = y.layout.strides[rank - 1];
  p.a_row = a->layout.strides[ra - 2], p.a_col = a->layout.strides[ra - 1];
  p.b_row = b->layout.strides[rb - 2], p.b_col = b->layout.strides[rb - 1];
  return PreparedStep::of(sequence({clear_padding(y), [p, store = y.layout.store, batch = *batch, a = a->place,
                                                       b = b->place, y = y.place](const Launch& run) {
                                      return launch_matmul(store, batch, p, run.at(y), run.at(a), run.at(b),
                                                           run.stream);
                                    }}));
}

}  // namespace

const StepDef reduce_step = {"reduce", refuse_reduce, 1, prepare_reduce};
const StepDef softmax_step = {"softmax", refuse_float, 1, prepare_softmax};
const StepDef layer_norm_step = {"layer_norm", refuse_layer_norm, 1, prepare_layer_norm};
const StepDef matmul_step = {"matmul", refuse_matmul, 2, prepare_matmul};

}  // namespace octet::cuda
