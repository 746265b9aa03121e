// Element-wise functions and reductions.
#include <cmath>
#include <optional>

#include "ir/editor.h"
#include "train/graph_ops.h"

namespace octet::nn {
namespace {

using torch::Tensor;

/// Both on one device: constants of shapes stay on the CPU.
std::pair<Tensor, Tensor> together(const OpRun& run) {
  Tensor a = run.in[0], b = run.in[1];
  if (a.device() != b.device())
    (a.device().is_cpu() ? a : b) = a.device().is_cpu() ? a.to(b.device()) : b.to(a.device());
  return {a, b};
}

template <class F>
Values pairs(const OpRun& run, F f) {
  const auto [a, b] = together(run);
  return {f(a, b)};
}

Values divide(const OpRun& run) {
  return pairs(
      run, [](const Tensor& a, const Tensor& b) { return a.is_floating_point() ? a / b : torch::div(a, b, "trunc"); });
}
Values power(const OpRun& run) {
  return pairs(run, [](const Tensor& a, const Tensor& b) { return torch::pow(a, b).to(a.scalar_type()); });
}

template <class F>
Values fold(const OpRun& run, F f) {
  Tensor y = run.in[0];
  for (size_t i = 1; i < run.in.size(); ++i) y = f(y, run.in[i]);
  return {y};
}

/// A bound of a Clip that the graph knows: a number costs no walk of its own, and no question to a GPU.
std::optional<c10::Scalar> known_bound(const OpRun& run, size_t i) {
  const ValueId v = input(run.node, i);
  const octet::Tensor* bound = v == k_absent ? nullptr : constant_of(run.graph, v, DType::f32);
  if (!bound || bound->size() != 1) return std::nullopt;
  return c10::Scalar(bound->at<float>(0));
}

Values clip(const OpRun& run) {
  const std::optional<c10::Scalar> lo = known_bound(run, 1), hi = known_bound(run, 2);
  Tensor y = run.in[0];
  if ((lo || !run.has(1)) && (hi || !run.has(2))) {
    if (lo && hi) return {torch::clamp(y, *lo, *hi)};
    return {lo ? torch::clamp_min(y, *lo) : hi ? torch::clamp_max(y, *hi) : y};
  }
  if (run.has(1)) y = torch::max(y, run.in[1].to(y.device()));
  if (run.has(2)) y = torch::min(y, run.in[2].to(y.device()));
  return {y};
}

float attribute(const OpRun& run, const char* name, float otherwise) {
  return float_attribute(run.node, name, otherwise);
}

Values hard_sigmoid(const OpRun& run) {
  return {(run.in[0] * attribute(run, "alpha", 0.2f) + attribute(run, "beta", 0.5f)).clamp(0.0, 1.0)};
}
Values elu(const OpRun& run) { return {torch::elu(run.in[0], attribute(run, "alpha", 1.0f))}; }
Values selu(const OpRun& run) {
  return {torch::elu(run.in[0], attribute(run, "alpha", 1.67326319f), attribute(run, "gamma", 1.05070102f))};
}
Values celu(const OpRun& run) { return {torch::celu(run.in[0], attribute(run, "alpha", 1.0f))}; }
Values gelu(const OpRun& run) { return {torch::gelu(run.in[0], string_attribute(run.node, "approximate", "none"))}; }
Values leaky_relu(const OpRun& run) { return {torch::leaky_relu(run.in[0], attribute(run, "alpha", 0.01f))}; }
Values prelu(const OpRun& run) { return {torch::where(run.in[0].lt(0), run.in[0] * run.in[1], run.in[0])}; }
Values where(const OpRun& run) { return {torch::where(run.in[0].to(run.in[1].device()), run.in[1], run.in[2])}; }

std::vector<int64_t> reduced_axes(const OpRun& run) {
  std::vector<int64_t> axes = run.has(1) ? integers(run.in[1]) : std::vector<int64_t>();
  if (axes.empty() && int_attribute(run.node, "noop_with_empty_axes", 0) == 0)
    for (int64_t d = 0; d < run.in[0].dim(); ++d) axes.push_back(d);
  return axes;
}

template <class F>
Values reduced(const OpRun& run, F f) {
  const std::vector<int64_t> axes = reduced_axes(run);
  if (axes.empty()) return {run.in[0]};
  return {f(run.in[0], axes, int_attribute(run.node, "keepdims", 1) != 0)};
}

Values softmax(const OpRun& run) { return {torch::softmax(run.in[0], int_attribute(run.node, "axis", -1))}; }
Values log_softmax(const OpRun& run) { return {torch::log_softmax(run.in[0], int_attribute(run.node, "axis", -1))}; }

#define OCTET_UNARY(word, ...)             \
  {                                        \
    word, [](const OpRun& run) -> Values { \
      const Tensor& x = run.in[0];         \
      return {__VA_ARGS__};                \
    }                                      \
  }
#define OCTET_PAIR(word, ...)                                                          \
  {                                                                                    \
    word, [](const OpRun& run) -> Values {                                             \
      return pairs(run, [](const Tensor& a, const Tensor& b) { return __VA_ARGS__; }); \
    }                                                                                  \
  }
#define OCTET_REDUCE(word, ...)                                                                                      \
  {                                                                                                                  \
    word, [](const OpRun& run) -> Values {                                                                           \
      return reduced(run, [](const Tensor& x, const std::vector<int64_t>& axes, bool keep) { return __VA_ARGS__; }); \
    }                                                                                                                \
  }

const TorchOpRow k_rows[] = {
    OCTET_PAIR("Add", a + b),
    OCTET_PAIR("Sub", a - b),
    OCTET_PAIR("Mul", a* b),
    {"Div", divide},
    {"Pow", power},
    {"Sum", [](const OpRun& run) { return fold(run, [](const Tensor& a, const Tensor& b) { return a + b; }); }},
    {"Max",
     [](const OpRun& run) { return fold(run, [](const Tensor& a, const Tensor& b) { return torch::max(a, b); }); }},
    {"Min",
     [](const OpRun& run) { return fold(run, [](const Tensor& a, const Tensor& b) { return torch::min(a, b); }); }},
    {"Mean",
     [](const OpRun& run) {
       const Values sum = fold(run, [](const Tensor& a, const Tensor& b) { return a + b; });
       return Values{sum[0] / static_cast<double>(run.in.size())};
     }},
    OCTET_UNARY("Sqrt", torch::sqrt(x)),
    OCTET_UNARY("Exp", torch::exp(x)),
    OCTET_UNARY("Log", torch::log(x)),
    OCTET_UNARY("Erf", torch::erf(x)),
    OCTET_UNARY("Neg", -x),
    OCTET_UNARY("Abs", x.abs()),
    OCTET_UNARY("Reciprocal", torch::reciprocal(x)),
    OCTET_UNARY("Sin", torch::sin(x)),
    OCTET_UNARY("Cos", torch::cos(x)),
    OCTET_UNARY("Relu", torch::relu(x)),
    OCTET_UNARY("Sigmoid", torch::sigmoid(x)),
    OCTET_UNARY("Tanh", torch::tanh(x)),
    OCTET_UNARY("HardSwish", torch::hardswish(x)),
    OCTET_UNARY("Silu", torch::silu(x)),
    OCTET_UNARY("Mish", torch::mish(x)),
    OCTET_UNARY("Softplus", torch::softplus(x)),
    OCTET_UNARY("Softsign", x / (x.abs() + 1.0)),
    {"Clip", clip},
    {"HardSigmoid", hard_sigmoid},
    {"Elu", elu},
    {"Selu", selu},
    {"Celu", celu},
    {"Gelu", gelu},
    {"LeakyRelu", leaky_relu},
    {"PRelu", prelu},
    {"Where", where},
    {"Softmax", softmax},
    {"LogSoftmax", log_softmax},
    OCTET_REDUCE("ReduceMean", x.mean(axes, keep)),
    OCTET_REDUCE("ReduceSum", x.sum(axes, keep)),
    OCTET_REDUCE("ReduceMax", torch::amax(x, axes, keep)),
    OCTET_REDUCE("ReduceMin", torch::amin(x, axes, keep)),
    OCTET_REDUCE("ReduceL1", x.abs().sum(axes, keep)),
    OCTET_REDUCE("ReduceL2", x.square().sum(axes, keep).sqrt()),
    OCTET_REDUCE("ReduceSumSquare", x.square().sum(axes, keep)),
    OCTET_REDUCE("ReduceLogSumExp", torch::logsumexp(x, axes, keep)),
};

#undef OCTET_UNARY
#undef OCTET_PAIR
#undef OCTET_REDUCE

}  // namespace

std::span<const TorchOpRow> function_ops() { return k_rows; }

}  // namespace octet::nn
