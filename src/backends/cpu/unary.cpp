// Functions of one f32 value: the activations (octet's own definitions, bit for bit those of tensor/activation.h) and
// Sqrt, Exp, Log, Erf, ... by the C library.
#include <cmath>
#include <limits>
#include <optional>

#include "backends/cpu/constants.h"
#include "backends/cpu/rows.h"
#include "backends/cpu/step.h"
#include "kernels/activation/activation.h"

namespace octet::cpu {
namespace {

struct NamedKind {
  std::string_view op;
  ActivationKind kind;
};
constexpr NamedKind k_kinds[] = {{"Relu", ActivationKind::relu},
                                 {"Clip", ActivationKind::clip},
                                 {"LeakyRelu", ActivationKind::leaky_relu},
                                 {"Sigmoid", ActivationKind::sigmoid},
                                 {"HardSigmoid", ActivationKind::hard_sigmoid},
                                 {"HardSwish", ActivationKind::hard_swish},
                                 {"Silu", ActivationKind::silu},
                                 {"Tanh", ActivationKind::tanh_}};

struct NamedFunction {
  std::string_view op;
  float (*function)(float);
};
constexpr NamedFunction k_functions[] = {
    {"Sqrt", [](float x) { return std::sqrt(x); }},
    {"Exp", [](float x) { return std::exp(x); }},
    {"Log", [](float x) { return std::log(x); }},
    {"Erf", [](float x) { return std::erf(x); }},
    {"Reciprocal", [](float x) { return 1.0f / x; }},
    {"Floor", [](float x) { return std::floor(x); }},
    {"Ceil", [](float x) { return std::ceil(x); }},
    {"Round", [](float x) { return std::nearbyint(x); }},
    {"Neg", [](float x) { return -x; }},
    {"Abs", [](float x) { return std::fabs(x); }},
};

std::optional<ActivationKind> activation_kind(std::string_view op) {
  for (const NamedKind& named : k_kinds) {
    if (named.op == op) return named.kind;
  }
  return std::nullopt;
}

std::string refuse(const StepQuery& query) {
  if (query.dtype(0) != DType::f32) return "the input is " + std::string(name(query.dtype(0))) + ", not f32";
  for (const size_t i : {size_t{1}, size_t{2}}) {  // Clip's bounds
    if (query.has_input(i) && !constant_scalar(query.graph, query.id(i))) return "a bound is not a constant";
  }
  return "";
}

ActivationParams params_of(const StepQuery& query, ActivationKind kind) {
  ActivationParams params{.kind = kind};
  constexpr float k_infinity = std::numeric_limits<float>::infinity();
  if (kind == ActivationKind::clip) {
    params.p0 = constant_scalar(query.graph, query.id(1)).value_or(-k_infinity);
    params.p1 = constant_scalar(query.graph, query.id(2)).value_or(k_infinity);
  } else if (kind == ActivationKind::leaky_relu) {
    params.p0 = float_attribute(query.node, "alpha", 0.01f);
  } else if (kind == ActivationKind::hard_sigmoid) {
    params.p0 = float_attribute(query.node, "alpha", 0.2f);
    params.p1 = float_attribute(query.node, "beta", 0.5f);
  }
  return params;
}

Result<PreparedStep> prepare(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  ActivationParams params;
  if (const std::optional<ActivationKind> kind = activation_kind(query.node.op->name)) params = params_of(query, *kind);
  float (*function)(float) = nullptr;
  for (const NamedFunction& named : k_functions) {
    if (named.op == query.node.op->name) function = named.function;
  }
  const auto activate = activation_kernels(query.isa).activate;
  PreparedStep step{.scratch_bytes = k_row_block * sizeof(float)};
  step.run = [=, loop = element_loop(y.layout, {&x->layout}), x = x->place, y = y.place](const RunContext& run) {
    const float* px = run.at<float>(x);
    float* py = run.at<float>(y);
    for_row_blocks(run, loop, [&](const StridedLoop::Offsets& at, int64_t n, int worker) {
      const float* row = contiguous_row(px + at[1], loop.row_stride(1), n, run.scratch<float>(worker));
      float* out = py + at[0];
      if (function) {
        for (int64_t i = 0; i < n; ++i) out[i] = function(row[i]);
      } else {
        std::copy_n(row, n, out);
        activate(out, static_cast<size_t>(n), params);
      }
    });
  };
  return step;
}

}  // namespace

const StepDef unary_f32_step = {"unary_f32", refuse, streaming_cost_us, prepare};

}  // namespace octet::cpu
