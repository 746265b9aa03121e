// Steps of integer ops whose operands or zero points are known at run time only: QuantMatMul, MatMulInteger,
// ConvInteger, DynamicQuantizeLinear; and Cast.
#include "backends/cuda/integer_products.h"
#include "backends/cuda/step.h"
#include "backends/cuda/window.h"

namespace octet::cuda {
namespace {

constexpr const char* k_too_large = "more than 2^31 elements or 8 dimensions";

/// Input `i` is absent or one zero point.
bool is_one_zero_point(const StepQuery& query, size_t i) {
  return !query.has_input(i) || element_count(query.dims(i)).value_or(0) == 1;
}

/// The zero point of codes of `dtype` that input `i` gives.
Result<ZeroPoint> zero_point_of(const StepQuery& query, size_t i, DType dtype) {
  if (!query.has_input(i)) return ZeroPoint{nullptr, domain_shift(dtype)};
  const std::optional<std::vector<int64_t>> values = constant_ints(query.graph, query.id(i));
  if (!values || values->size() != 1) return query.error("a zero point is not constant", ErrorCode::unsupported);
  return ZeroPoint{nullptr, static_cast<int32_t>((*values)[0]) + domain_shift(dtype)};
}

/// A zero point, constant or made by an op before.
struct ZeroOperand {
  ZeroPoint constant;
  Operand made;
  ZeroPoint at(const Launch& run) const {
    if (made.place.kind == Place::Kind::nowhere) return constant;
    return {static_cast<const uint8_t*>(run.at(made.place)), 0};
  }
};
Result<ZeroOperand> zero_operand(const StepQuery& query, StepBuilder& builder, size_t i, DType dtype) {
  ZeroOperand zero;
  if (query.has_input(i) && !is_constant(query.graph, query.id(i))) {
    zero.made = builder.value(query.id(i));
    return zero;
  }
  Result<ZeroPoint> constant = zero_point_of(query, i, dtype);
  if (!constant) return constant.error();
  zero.constant = *constant;
  return zero;
}

// ---- products of two matrices ----

std::string refuse_matrices(const StepQuery& query) {
  for (const size_t i : {size_t{0}, size_t{1}})
    if (query.shape(i)->size() < 2) return "input " + std::to_string(i) + " is a vector";
  const Dims y = query.output_dims();
  int64_t batch = 1;
  for (size_t d = 0; d + 2 < y.size(); ++d) batch *= y[d];
  constexpr int64_t k_most_tiles = 65535, k_tile_rows = 64;
  if (y[y.size() - 2] > k_most_tiles * k_tile_rows) return "more than 4194240 rows";
  return batch > 65535 ? "a batch of more than 65535 matrices" : "";
}
std::string refuse_matmul_integer(const StepQuery& query) {
  for (const size_t i : {size_t{2}, size_t{3}})
    if (!is_one_zero_point(query, i)) return "more than one zero point";
  return refuse_matrices(query);
}

struct Matrices {
  Operand a, b, y;
  MatMulParams shape;
  Strided batch;
};
Result<Matrices> matrices_of(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> a = builder.input(query, 0), b = builder.input(query, 1);
  if (!a || !b) return a ? b.error() : a.error();
  Matrices made{*a, *b, builder.output(query), {}, {}};
  const Layout& y = made.y.layout;
  const auto head = [](const Dims& dims) { return Dims(dims.begin(), dims.end() - 2); };
  const Dims batch_dims = head(y.dims);
  const Dims strides[3] = {head(y.strides),
                           broadcast_strides(head(a->layout.dims), head(a->layout.strides), batch_dims),
                           broadcast_strides(head(b->layout.dims), head(b->layout.strides), batch_dims)};
  const std::optional<Strided> batch = strided(batch_dims, strides);
  if (!batch) return query.error(k_too_large, ErrorCode::unsupported);
  made.batch = *batch;
  const size_t last = y.rank() - 1, la = a->layout.rank() - 1, lb = b->layout.rank() - 1;
  MatMulParams& p = made.shape;
  p.m = static_cast<int>(y.dims[last - 1]), p.n = static_cast<int>(y.dims[last]);
  p.k = static_cast<int>(a->layout.dims[la]);
  p.y_row = y.strides[last - 1], p.y_col = y.strides[last];
  p.a_row = a->layout.strides[la - 1], p.a_col = a->layout.strides[la];
  p.b_row = b->layout.strides[lb - 1], p.b_col = b->layout.strides[lb];
  return made;
}

Result<PreparedStep> prepare_quant_matmul(const StepQuery& query, StepBuilder& builder) {
  Result<Matrices> made = matrices_of(query, builder);
  if (!made) return made.error();
  Result<Epilogue> epilogue = epilogue_of(query, query.floats);
  if (!epilogue) return epilogue.error();
  const Codes a = codes_of(query.node, "a", query.dtype(0)), b = codes_of(query.node, "b", query.dtype(1));
  IntegerMatMulParams p;
  p.shape = made->shape;
  p.a_zero.value = a.zero_point, p.b_zero.value = b.zero_point;
  const bool by_codes = epilogue->to == Store::u8 && !epilogue->on_values;
  const double y_scale = by_codes ? static_cast<double>(float_attribute(query.node, "y_scale", 1.0f)) : 1.0;
  p.multiplier = static_cast<float>(static_cast<double>(a.scale) * static_cast<double>(b.scale) / y_scale);
  p.epilogue = *epilogue;
  if (made->y.place.kind == Place::Kind::output) p.epilogue.to = made->y.layout.store;
  return PreparedStep::of(sequence({clear_padding(made->y), [p, m = *made](const Launch& run) {
                                      return launch_integer_matmul(m.batch, p, run.at(m.y.place), run.at(m.a.place),
                                                                   run.at(m.b.place), run.stream);
                                    }}));
}

Result<PreparedStep> prepare_matmul_integer(const StepQuery& query, StepBuilder& builder) {
  Result<Matrices> made = matrices_of(query, builder);
  if (!made) return made.error();
  Result<ZeroOperand> a = zero_operand(query, builder, 2, query.dtype(0)),
                      b = zero_operand(query, builder, 3, query.dtype(1));
  if (!a || !b) return a ? b.error() : a.error();
  return PreparedStep::of([m = *made, a = *a, b = *b](const Launch& run) {
    IntegerMatMulParams p;
    p.shape = m.shape, p.raw = true;
    p.a_zero = a.at(run), p.b_zero = b.at(run);
    return launch_integer_matmul(m.batch, p, run.at(m.y.place), run.at(m.a.place), run.at(m.b.place), run.stream);
  });
}

// ---- ConvInteger ----

std::string refuse_conv_integer(const StepQuery& query) {
  if (query.shape(0)->size() != 4) return "only two spatial dimensions (a rank-4 input)";
  if (!is_constant(query.graph, query.id(1))) return "the weight is not a constant";
  if (!is_one_zero_point(query, 2)) return "more than one zero point of x";
  if (query.has_input(3) && !is_constant(query.graph, query.id(3))) return "the weight's zero points are not constant";
  const Dims w = query.dims(1);
  const Layout x = layout_of(query.graph, query.id(0), query.floats),
               y = layout_of(query.graph, query.node.outputs[0], query.floats);
  const Result<WindowParams> window = window_params(query, w[2], w[3], x, y);
  return window ? "" : window.error().message;
}

/// [oc][ic][taps] codes without their zero points as [taps][ic][oc].
Result<std::vector<int16_t>> weights_of(const StepQuery& query) {
  const Dims w = query.dims(1);
  const std::optional<std::vector<int64_t>> codes = constant_ints(query.graph, query.id(1));
  const std::optional<std::vector<int64_t>> zeros =
      query.has_input(3) ? constant_ints(query.graph, query.id(3)) : std::vector<int64_t>{0};
  const auto oc = static_cast<size_t>(w[0]), ic = static_cast<size_t>(w[1]), taps = static_cast<size_t>(w[2] * w[3]);
  if (!codes || !zeros || (zeros->size() != 1 && zeros->size() != oc))
    return query.error("weights or zero points that are no list of integers", ErrorCode::unsupported);
  std::vector<int16_t> made(codes->size());
  for (size_t o = 0; o < oc; ++o) {
    const int64_t zero = (*zeros)[zeros->size() == 1 ? 0 : o];
    for (size_t c = 0; c < ic; ++c)
      for (size_t t = 0; t < taps; ++t)
        made[(t * ic + c) * oc + o] = static_cast<int16_t>((*codes)[(o * ic + c) * taps + t] - zero);
  }
  return made;
}

Result<PreparedStep> prepare_conv_integer(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  const Dims w = query.dims(1);
  Result<WindowParams> p = window_params(query, w[2], w[3], x->layout, y.layout);
  if (!p) return p.error();
  Result<ZeroOperand> zero = zero_operand(query, builder, 2, query.dtype(0));
  if (!zero) return zero.error();
  Result<std::vector<int16_t>> weights = weights_of(query);
  if (!weights) return weights.error();
  Result<const void*> device = builder.upload(*weights);
  if (!device) return device.error();
  p->w = *device, p->groups = static_cast<int>(int_attribute(query.node, "group", 1));
  PreparedStep step = PreparedStep::of([p = *p, zero = *zero, x = x->place, y = y.place](const Launch& run) {
    WindowParams bound = p;
    bound.x = run.at(x), bound.y = run.at(y);
    return launch_conv_integer(bound, zero.at(run), run.stream);
  });
  step.packed_bytes = weights->size() * sizeof(int16_t);
  return step;
}

// ---- DynamicQuantizeLinear ----

std::string refuse_dynamic_quantize(const StepQuery& query) {
  return query.floats == DType::f16 ? "half precision, which the scale does not have" : "";
}

Result<PreparedStep> prepare_dynamic_quantize(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query), scale = builder.output(query, 1), zero = builder.output(query, 2);
  const Dims strides[2] = {y.layout.strides, x->layout.strides};
  const std::optional<Strided> loop = strided(y.layout.dims, strides);
  if (!loop) return query.error(k_too_large, ErrorCode::unsupported);
  PreparedStep step = PreparedStep::of([=, loop = *loop, x = x->place](const Launch& run) {
    return launch_dynamic_quantize(loop, static_cast<uint8_t*>(run.at(y.place)),
                                   static_cast<float*>(run.at(scale.place)), static_cast<uint8_t*>(run.at(zero.place)),
                                   static_cast<const float*>(run.at(x)), run.partial, run.arrived, run.stream);
  });
  step.choices[0].room = {.partial_sums = 2, .tiles = 1};
  return step;
}

// ---- Cast ----

std::optional<Number> number_of(DType dtype, DType floats) {
  switch (dtype) {
    case DType::f32: return floats == DType::f16 ? Number::f16 : Number::f32;
    case DType::f16: return Number::f16;
    case DType::s32: return Number::s32;
    case DType::s64: return Number::s64;
    case DType::u8: return Number::u8;
    case DType::s8: return Number::s8;
    case DType::boolean: return Number::boolean;
    default: return std::nullopt;
  }
}

std::string refuse_cast(const StepQuery& query) {
  for (const DType dtype : {query.dtype(0), query.output().dtype})
    if (!number_of(dtype, query.floats)) return "the dtype " + std::string(name(dtype));
  return "";
}

Result<PreparedStep> prepare_cast(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  const Dims strides[2] = {y.layout.strides, x->layout.strides};
  const std::optional<Strided> loop = strided(y.layout.dims, strides);
  if (!loop) return query.error(k_too_large, ErrorCode::unsupported);
  const auto number = [](const Operand& operand) {
    return *number_of(operand.layout.dtype, operand.layout.store == Store::f16 ? DType::f16 : DType::f32);
  };
  return PreparedStep::of(sequence({clear_padding(y), [loop = *loop, to = number(y), from = number(*x), x = x->place,
                                                       y = y.place](const Launch& run) {
                                      return launch_cast(loop, to, from, run.at(y), run.at(x), run.stream);
                                    }}));
}

}  // namespace

const StepDef quant_matmul_step = {"matmul_u8u8", refuse_matrices, 1, prepare_quant_matmul};
const StepDef matmul_integer_step = {"matmul_integer", refuse_matmul_integer, 1, prepare_matmul_integer};
const StepDef conv_integer_step = {"conv_integer", refuse_conv_integer, 1, prepare_conv_integer};
const StepDef dynamic_quantize_step = {"dynamic_quantize", refuse_dynamic_quantize, 1, prepare_dynamic_quantize};
const StepDef cast_step = {"cast", refuse_cast, 1, prepare_cast};

}  // namespace octet::cuda
