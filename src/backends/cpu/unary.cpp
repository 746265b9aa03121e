// Functions of one f32 value: the activations (octet's own definitions, bit for bit those of tensor/activation.h) and
// Sqrt, Exp, Log, Erf, ... by the C library.
#include <cmath>
#include <limits>
#include <optional>

#include "backends/cpu/constants.h"
#include "backends/cpu/rows.h"
#include "backends/cpu/step.h"
#include "kernels/activation/activation.h"
#include "kernels/normalize/normalize.h"

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

/// p: the node's parameters where it has some (Elu: alpha; Selu: alpha, gamma).
struct NamedFunction {
  std::string_view op;
  float (*function)(float x, ActivationParams p);
};

float softplus(float x) { return std::max(x, 0.0f) + std::log1p(std::exp(-std::fabs(x))); }  // e^x cannot overflow
float gelu_tanh(float x, ActivationParams) {
  return 0.5f * x * (1.0f + std::tanh(0.79788456f * (x + 0.044715f * x * x * x)));  // sqrt(2/pi)
}

constexpr NamedFunction k_functions[] = {
    {"Sqrt", [](float x, ActivationParams) { return std::sqrt(x); }},
    {"Exp", [](float x, ActivationParams) { return std::exp(x); }},
    {"Log", [](float x, ActivationParams) { return std::log(x); }},
    {"Erf", [](float x, ActivationParams) { return std::erf(x); }},
    {"Sin", [](float x, ActivationParams) { return std::sin(x); }},
    {"Cos", [](float x, ActivationParams) { return std::cos(x); }},
    {"Tan", [](float x, ActivationParams) { return std::tan(x); }},
    {"Asin", [](float x, ActivationParams) { return std::asin(x); }},
    {"Acos", [](float x, ActivationParams) { return std::acos(x); }},
    {"Atan", [](float x, ActivationParams) { return std::atan(x); }},
    {"Sinh", [](float x, ActivationParams) { return std::sinh(x); }},
    {"Cosh", [](float x, ActivationParams) { return std::cosh(x); }},
    {"Asinh", [](float x, ActivationParams) { return std::asinh(x); }},
    {"Acosh", [](float x, ActivationParams) { return std::acosh(x); }},
    {"Atanh", [](float x, ActivationParams) { return std::atanh(x); }},
    {"Reciprocal", [](float x, ActivationParams) { return 1.0f / x; }},
    {"Floor", [](float x, ActivationParams) { return std::floor(x); }},
    {"Ceil", [](float x, ActivationParams) { return std::ceil(x); }},
    {"Round", [](float x, ActivationParams) { return std::nearbyint(x); }},
    {"Neg", [](float x, ActivationParams) { return -x; }},
    {"Abs", [](float x, ActivationParams) { return std::fabs(x); }},
    {"Elu", [](float x, ActivationParams p) { return x < 0 ? p.p0 * std::expm1(x) : x; }},
    {"Selu", [](float x, ActivationParams p) { return p.p1 * (x < 0 ? p.p0 * std::expm1(x) : x); }},
    {"Softplus", [](float x, ActivationParams) { return softplus(x); }},
    {"Mish", [](float x, ActivationParams) { return x * std::tanh(softplus(x)); }},
};

float (*function_of(const Node& node))(float, ActivationParams) {
  if (is_op(node, "Gelu") && string_attribute(node, "approximate", "none") == "tanh") return gelu_tanh;
  for (const NamedFunction& named : k_functions) {
    if (named.op == node.op->name) return named.function;
  }
  return nullptr;
}

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

ActivationParams params_of(const StepQuery& query) {
  const ActivationKind kind = activation_kind(query.node.op->name).value_or(ActivationKind::none);
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
  } else if (is_op(query.node, "Elu")) {
    params.p0 = float_attribute(query.node, "alpha", 1.0f);
  } else if (is_op(query.node, "Selu")) {  // ONNX's defaults, opset 6
    params.p0 = float_attribute(query.node, "alpha", 1.67326319217681884765625f);
    params.p1 = float_attribute(query.node, "gamma", 1.05070102214813232421875f);
  }
  return params;
}

Result<PreparedStep> prepare(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  const ActivationParams params = params_of(query);
  const auto function = function_of(query.node);
  const auto activate = activation_kernels(query.isa).activate;
  const auto gelu = is_op(query.node, "Gelu") && !function ? normalize_kernels(query.isa).gelu : nullptr;
  PreparedStep step{.scratch_bytes = k_row_block * sizeof(float), .in_team = true};
  step.run = [=, loop = element_loop(y.layout, {&x->layout}), x = x->place, y = y.place](const RunContext& run) {
    const float* px = run.at<float>(x);
    float* py = run.at<float>(y);
    for_row_blocks(run, loop, [&](const StridedLoop::Offsets& at, int64_t n, int worker) {
      const float* row = contiguous_row(px + at[1], loop.row_stride(1), n, run.scratch<float>(worker));
      float* out = py + at[0];
      if (function) {
        for (int64_t i = 0; i < n; ++i) out[i] = function(row[i], params);
      } else if (gelu) {
        std::copy_n(row, n, out);
        gelu(out, static_cast<size_t>(n));
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
