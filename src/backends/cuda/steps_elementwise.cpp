// Element-wise steps: quantization, lookups, arithmetic of two operands, functions of one.
#include <limits>

#include "backends/cuda/step.h"

namespace octet::cuda {
namespace {

constexpr const char* k_too_large = "more than 2^31 elements or 8 dimensions";

/// The loop over y with the broadcast inputs; the padding channels come along where all layouts are equal.
std::optional<Strided> loop_over(const Layout& y, const std::vector<Layout>& inputs) {
  bool equal = true;
  for (const Layout& x : inputs) equal &= x.dims == y.dims && x.strides == y.strides;
  std::vector<Dims> strides = {equal ? Dims{1} : y.strides};
  for (const Layout& x : inputs) strides.push_back(equal ? Dims{1} : broadcast_strides(x.dims, x.strides, y.dims));
  return strided(equal ? Dims{y.elements} : y.dims, strides);
}

std::string refuse_float(const StepQuery& query) {
  for (size_t i = 0; i < query.input_count(); ++i)
    if (query.has_input(i) && query.dtype(i) != DType::f32)
      return "input " + std::to_string(i) + " is " + std::string(name(query.dtype(i))) + ", not f32";
  return query.input_count() > 2 && !is_op(query.node, "Clip") ? "more than two inputs" : "";
}
std::string refuse_two(const StepQuery& query) {
  return query.input_count() == 2 ? refuse_float(query) : "not two inputs";
}

Binary binary_of(const StepQuery& query) {
  const std::string_view op = query.node.op->name;
  if (op == "Sub") return Binary::sub;
  if (op == "Mul") return Binary::mul;
  if (op == "Div") return Binary::div;
  if (op == "Min") return Binary::min_;
  if (op == "Max") return Binary::max_;
  if (op == "Pow") return Binary::pow_;
  if (op == "PRelu") return Binary::prelu;
  return Binary::add;
}

Result<PreparedStep> prepare_binary(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> a = builder.input(query, 0), b = builder.input(query, 1);
  if (!a || !b) return a ? b.error() : a.error();
  const Operand y = builder.output(query);
  const std::optional<Strided> loop = loop_over(y.layout, {a->layout, b->layout});
  if (!loop) return query.error(k_too_large, ErrorCode::unsupported);
  return PreparedStep::of(sequence(
      {clear_padding(y), [=, op = binary_of(query), act = act_of(query.node), store = y.layout.store, loop = *loop,
                          a = a->place, b = b->place, y = y.place](const Launch& run) {
         return launch_binary(op, {act.act, act.p0, act.p1, store, loop, run.at(y), run.at(a), run.at(b)}, run.stream);
       }}));
}

struct Function {
  Unary op = Unary::activation;
  Act act = Act::none;
  float p0 = 0, p1 = 0;
};
float bound_of(const StepQuery& query, size_t i, float otherwise) {
  const std::vector<float> value =
      query.has_input(i) ? constant_floats(query.graph, query.id(i)) : std::vector<float>();
  return value.size() == 1 ? value[0] : otherwise;
}

std::optional<Function> function_of(const StepQuery& query) {
  const std::string_view op = query.node.op->name;
  const auto attribute = [&](const char* key, float otherwise) { return float_attribute(query.node, key, otherwise); };
  if (op == "Clip") {
    constexpr float k_infinity = std::numeric_limits<float>::infinity();
    return Function{Unary::activation, Act::clip, bound_of(query, 1, -k_infinity), bound_of(query, 2, k_infinity)};
  }
  if (op == "LeakyRelu") return Function{Unary::activation, Act::leaky_relu, attribute("alpha", 0.01f)};
  if (op == "HardSigmoid")
    return Function{Unary::activation, Act::hard_sigmoid, attribute("alpha", 0.2f), attribute("beta", 0.5f)};
  if (op == "Elu") return Function{Unary::elu, Act::none, attribute("alpha", 1.0f)};
  if (op == "Selu")
    return Function{Unary::selu, Act::none, attribute("alpha", 1.67326319217681884765625f),
                    attribute("gamma", 1.05070102214813232421875f)};
  if (op == "Gelu")
    return Function{string_attribute(query.node, "approximate", "none") == "tanh" ? Unary::gelu_tanh : Unary::gelu};
  constexpr struct {
    std::string_view op;
    Function function;
  } k_plain[] = {{"Relu", {Unary::activation, Act::relu}},
                 {"Sigmoid", {Unary::activation, Act::sigmoid}},
                 {"HardSwish", {Unary::activation, Act::hard_swish}},
                 {"Silu", {Unary::activation, Act::silu}},
                 {"Tanh", {Unary::activation, Act::tanh_}},
                 {"Sqrt", {Unary::sqrt_}},
                 {"Exp", {Unary::exp_}},
                 {"Log", {Unary::log_}},
                 {"Erf", {Unary::erf_}},
                 {"Reciprocal", {Unary::reciprocal}},
                 {"Floor", {Unary::floor_}},
                 {"Ceil", {Unary::ceil_}},
                 {"Round", {Unary::round_}},
                 {"Neg", {Unary::neg}},
                 {"Abs", {Unary::abs_}},
                 {"Softplus", {Unary::softplus}},
                 {"Mish", {Unary::mish}}};
  for (const auto& row : k_plain)
    if (row.op == op) return row.function;
  return std::nullopt;
}

std::string refuse_unary(const StepQuery& query) {
  for (size_t i = 1; i < query.input_count(); ++i)
    if (query.has_input(i) && !is_constant(query.graph, query.id(i))) return "the bounds are not constant";
  return refuse_float(query);
}

Result<PreparedStep> prepare_unary(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  const std::optional<Strided> loop = loop_over(y.layout, {x->layout});
  const std::optional<Function> f = function_of(query);
  if (!loop || !f) return query.error(k_too_large, ErrorCode::unsupported);
  return PreparedStep::of(sequence(
      {clear_padding(y), [f = *f, store = y.layout.store, loop = *loop, x = x->place, y = y.place](const Launch& run) {
         return launch_unary(f.op, {f.act, f.p0, f.p1, store, loop, run.at(y), run.at(x)}, run.stream);
       }}));
}

std::string no_reason(const StepQuery&) { return ""; }

Result<PreparedStep> prepare_pair(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> a = builder.input(query, 0), b = builder.input(query, 1);
  if (!a || !b) return a ? b.error() : a.error();
  const Operand y = builder.output(query);
  Result<Epilogue> epilogue = epilogue_of(query, query.floats);
  if (!epilogue) return epilogue.error();
  PairParams p;
  p.epilogue = *epilogue;
  p.product = is_op(query.node, "QuantMul");
  const Codes qa = codes_of(query.node, "a", query.dtype(0)), qb = codes_of(query.node, "b", query.dtype(1));
  const double y_scale =
      p.epilogue.to == Store::u8 ? static_cast<double>(float_attribute(query.node, "y_scale", 1.0f)) : 1.0;
  const double sa = qa.scale, sb = qb.scale;
  p.a_zero = qa.zero_point, p.b_zero = qb.zero_point;
  p.a_multiplier = static_cast<float>((p.product ? sa * sb : sa) / y_scale);
  p.epilogue.r_multiplier = static_cast<float>(sb / y_scale);
  const std::optional<Strided> loop = loop_over(y.layout, {a->layout, b->layout});
  if (!loop) return query.error(k_too_large, ErrorCode::unsupported);
  const bool dense = p.epilogue.to == Store::u8 && loop->rank == 1 && loop->count % 16 == 0 &&
                     loop->stride[0][0] == 1 && loop->stride[1][0] == 1 && loop->stride[2][0] == 1;
  return PreparedStep::of(
      sequence({clear_padding(y), [=, loop = *loop, a = a->place, b = b->place, y = y.place](const Launch& run) {
                  if (dense) return launch_pair_dense_u8(p, loop.count, run.at(y), run.at(a), run.at(b), run.stream);
                  return launch_pair_u8(p, loop, run.at(y), run.at(a), run.at(b), run.stream);
                }}));
}

std::string refuse_lookup(const StepQuery& query) { return query.constant(1) ? "" : "the table is not an initializer"; }

Result<PreparedStep> prepare_lookup(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  Result<const void*> device_table = builder.upload_table(*query.constant(1), query.dtype(0));
  if (!device_table) return device_table.error();
  const std::optional<Strided> loop = loop_over(y.layout, {x->layout});
  if (!loop) return query.error(k_too_large, ErrorCode::unsupported);
  return PreparedStep::of([loop = *loop, x = x->place, y = y.place, table = *device_table](const Launch& run) {
    return launch_lookup(loop, run.at(y), run.at(x), table, run.stream);
  });
}

/// scale and zero_point of Q and DQ as device arrays, with their stride along the dims of x.
struct Grid {
  const float* scale = nullptr;
  const int32_t* zero = nullptr;
  Dims strides;
  bool is_single = true;
};

std::string refuse_grid(const StepQuery& query) {
  if (!query.constant(1)) return "the scale is not an initializer";
  if (query.has_input(2) && !query.constant(2)) return "the zero point is not an initializer";
  if (query.dtype(1) != DType::f32) return "the scale is " + std::string(name(query.dtype(1))) + ", not f32";
  if (query.dims(1).size() > 1) return "a scale for each block";
  if (!is_code(query.dtype(0)) && query.dtype(0) != DType::f32)
    return "the input is " + std::string(name(query.dtype(0)));
  return "";
}

std::string refuse_quantize(const StepQuery& query) {
  if (!is_code(query.output().dtype)) return "codes of dtype " + std::string(name(query.output().dtype));
  return refuse_grid(query);
}

Result<Grid> grid_of(const StepQuery& query, StepBuilder& builder, DType codes, const Dims& dims) {
  const std::span<const float> scale = query.constant(1)->as<float>();
  std::vector<int32_t> zero(scale.size(), domain_shift(codes));
  if (query.has_input(2)) {
    const Result<std::vector<int64_t>> given = to_int64s(*query.constant(2));
    if (!given) return given.error();
    for (size_t i = 0; i < zero.size() && i < given->size(); ++i) zero[i] += static_cast<int32_t>((*given)[i]);
  }
  Grid grid;
  grid.is_single = scale.size() == 1;
  grid.strides.assign(dims.size(), 0);
  if (!grid.is_single) {
    const int64_t axis = int_attribute(query.node, "axis", 1);
    grid.strides[static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(dims.size()) : axis)] = 1;
  }
  Result<const void*> s = builder.upload(scale.data(), scale.size_bytes()), z = builder.upload(zero);
  if (!s || !z) return s ? z.error() : s.error();
  grid.scale = static_cast<const float*>(*s), grid.zero = static_cast<const int32_t*>(*z);
  return grid;
}

Result<PreparedStep> prepare_quantize(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  Result<Grid> grid = grid_of(query, builder, y.layout.dtype, y.layout.dims);
  if (!grid) return grid.error();
  const Dims& dims = y.layout.dims;
  const bool image =
      x->place.kind == Place::Kind::input && y.layout.is_nhwc() && y.layout.pitch() == 4 && grid->is_single;
  const Dims strides[3] = {y.layout.strides, x->layout.strides, grid->strides};
  const std::optional<Strided> loop = strided(dims, strides);
  if (!loop) return query.error(k_too_large, ErrorCode::unsupported);
  return PreparedStep::of(
      [=, loop = *loop, from = x->layout.store, grid = *grid, x = x->place, y = y.place](const Launch& run) {
        const QuantizeParams p{run.at(x), run.at(y), grid.scale, grid.zero};
        if (image)
          return launch_quantize_image(p, static_cast<int>(dims[0]), static_cast<int>(dims[1]),
                                       static_cast<int>(dims[2] * dims[3]), run.stream);
        return launch_quantize(p, from, loop, run.stream);
      });
}

std::string refuse_dequantize(const StepQuery& query) {
  if (is_constant(query.graph, query.node.outputs[0])) return "";
  return is_code(query.dtype(0)) ? refuse_grid(query) : "the input is not codes";
}

Result<PreparedStep> prepare_dequantize(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  Result<Grid> grid = grid_of(query, builder, x->layout.dtype, y.layout.dims);
  if (!grid) return grid.error();
  const Dims strides[3] = {y.layout.strides, x->layout.strides, grid->strides};
  const std::optional<Strided> loop = strided(y.layout.dims, strides);
  if (!loop) return query.error(k_too_large, ErrorCode::unsupported);
  return PreparedStep::of(sequence({clear_padding(y), [loop = *loop, to = y.layout.store, grid = *grid, x = x->place,
                                                       y = y.place](const Launch& run) {
                                      const QuantizeParams p{run.at(x), run.at(y), grid.scale, grid.zero};
                                      return launch_dequantize(p, to, loop, run.stream);
                                    }}));
}

}  // namespace

const StepDef binary_step = {"binary", refuse_two, 1, prepare_binary};
const StepDef unary_step = {"unary", refuse_unary, 1, prepare_unary};
const StepDef pair_u8_step = {"pair_u8", no_reason, 1, prepare_pair};
const StepDef lookup_step = {"lookup", refuse_lookup, 1, prepare_lookup};
const StepDef quantize_step = {"quantize", refuse_quantize, 1, prepare_quantize};
const StepDef dequantize_step = {"dequantize", refuse_dequantize, 1, prepare_dequantize};

}  // namespace octet::cuda
