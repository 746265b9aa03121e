#include "backends/cpu/row_chains.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "backends/cpu/constants.h"
#include "backends/cpu/joined.h"
#include "backends/cpu/quantize.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/normalize/normalize.h"

namespace octet::cpu {
namespace {

NodeId id_of(const StepQuery& query) { return static_cast<NodeId>(&query.node - query.graph.nodes.data()); }

/// Rows of a value lie one behind the other, in the order of its dims.
bool is_dense(const Graph& graph, ValueId v) {
  const Value& value = graph.value(v);
  if (!value.shape || !known_dims(*value.shape)) return false;
  const Layout layout = layout_of(graph, v);
  return !layout.is_nhwc() && layout.rank() > 0 && element_count(layout.dims).value_or(0) > 0 &&
         layout.strides == row_major_strides(layout.dims);
}

class Finder {
 public:
  Finder(const Graph& graph, const Uses& uses, Isa isa) : graph_(graph), uses_(uses), isa_(isa) {}

  std::vector<RowChain> all() const {
    std::vector<RowChain> found;
    for (NodeId id = 0; id < static_cast<NodeId>(graph_.nodes.size()); ++id) {
      if (!is_rows(id)) continue;
      const RowChain chain = {before(id), id, after(id)};
      if (chain.before >= 0 || chain.after >= 0) found.push_back(chain);
    }
    return found;
  }

 private:
  StepQuery query(NodeId id) const { return {{graph_, graph_.node(id)}, isa_}; }

  bool is_rows(NodeId id) const {
    const Node& node = graph_.node(id);
    const bool is_softmax = is_op(node, "Softmax");
    if (!is_softmax && !is_op(node, "LayerNormalization")) return false;
    if (is_constant(graph_, node.inputs[0]) || !is_dense(graph_, node.inputs[0]) || !is_dense(graph_, node.outputs[0]))
      return false;
    const auto rank = static_cast<int64_t>(graph_.value(node.inputs[0]).shape->size());
    const int64_t axis = int_attribute(node, "axis", -1);
    return (axis == -1 || axis == rank - 1) &&
           (is_softmax ? softmax_f32_step : layer_normalization_f32_step).refuse(query(id)).empty();
  }

  NodeId before(NodeId rows) const {
    const ValueId x = graph_.node(rows).inputs[0];
    const NodeId id = uses_.producer[static_cast<size_t>(x)];
    if (id < 0 || !uses_.single_use(x)) return -1;
    const Node& node = graph_.node(id);
    const bool is_codes = is_op(node, "DequantizeLinear") && dequantize_step.refuse(query(id)).empty();
    const bool is_scaled = is_op(node, "Mul") && graph_.value(x).dtype == DType::f32 &&
                           constant_scalar(graph_, node.inputs[1]) && !is_constant(graph_, node.inputs[0]);
    if (!is_codes && !is_scaled) return -1;
    const ValueId source = node.inputs[0];
    const bool is_fit = !is_constant(graph_, source) && is_dense(graph_, source) && !borrows_input(graph_, source) &&
                        known_dims(*graph_.value(source).shape) == known_dims(*graph_.value(x).shape);
    return is_fit ? id : -1;
  }

  NodeId after(NodeId rows) const {
    const ValueId y = graph_.node(rows).outputs[0];
    if (!uses_.single_use(y)) return -1;
    const NodeId id = uses_.consumers[static_cast<size_t>(y)][0];
    const Node& node = graph_.node(id);
    return is_op(node, "QuantizeLinear") && node.inputs[0] == y && is_dense(graph_, node.outputs[0]) &&
                   quantize_step.refuse(query(id)).empty()
               ? id
               : -1;
  }

  const Graph& graph_;
  const Uses& uses_;
  Isa isa_;
};

/// Everything that a chain does with some rows.
struct Chain {
  bool is_softmax = false, from_codes = false, is_scaled = false, to_codes = false;
  Affine in, out;
  std::vector<float> factors;  // a row of the constant that values are multiplied by
  std::vector<float> scale, bias;
  double epsilon = 0;
  int64_t length = 1, rows = 1;
  ElementwiseKernels elementwise;
  NormalizeKernels normalize;

  /// What stays in L1, or the four that the kernels take together while these are not long.
  int64_t rows_at_once() const {
    constexpr int64_t k_near_floats = 4096, k_most_floats = 16384, k_together = 4;
    return std::min(rows, std::max({int64_t{1}, k_near_floats / length, std::min(k_together, k_most_floats / length)}));
  }
  size_t scratch_bytes() const { return to_codes ? static_cast<size_t>(rows_at_once() * length) * sizeof(float) : 0; }

  void bring(const std::byte* x, int64_t at, int64_t n, float* to) const {
    const auto count = static_cast<size_t>(n);
    const auto* const floats = reinterpret_cast<const float*>(x) + at;
    if (from_codes)
      elementwise.dequantize_u8(reinterpret_cast<const uint8_t*>(x) + at, count, in.scale, in.zero_point, to);
    else if (is_scaled)
      for (size_t i = 0; i < count; i += factors.size())
        elementwise.mul_f32(floats + i, factors.data(), std::min(factors.size(), count - i), to + i);
    else
      std::memcpy(to, floats, count * sizeof(float));
  }

  void run(const std::byte* x, int64_t first, int64_t last, std::byte* y, float* scratch) const {
    for (int64_t row = first; row < last; row += rows_at_once()) {
      const int64_t now = std::min(rows_at_once(), last - row), at = row * length, n = now * length;
      float* const v = to_codes ? scratch : reinterpret_cast<float*>(y) + at;
      bring(x, at, n, v);
      const auto count = static_cast<size_t>(now), width = static_cast<size_t>(length);
      if (is_softmax)
        normalize.softmax(v, count, width, length);
      else
        normalize.layer(v, count, width, length, epsilon, scale.data(), bias.data());
      if (to_codes)
        elementwise.quantize_f32(v, static_cast<size_t>(n), out.scale, out.zero_point, 0, 255,
                                 reinterpret_cast<uint8_t*>(y) + at);
    }
  }
};

Chain describe(const Graph& graph, const RowChain& nodes, Isa isa) {
  const Node& rows = graph.node(nodes.rows);
  Chain chain;
  chain.elementwise = elementwise_kernels(isa), chain.normalize = normalize_kernels(isa);
  chain.length = layout_of(graph, rows.inputs[0]).dims.back();
  chain.is_softmax = is_op(rows, "Softmax");
  if (!chain.is_softmax) {
    chain.epsilon = float_attribute(rows, "epsilon", 1e-5f);
    chain.scale = constant_floats(graph, rows.inputs[1]);
    if (rows.inputs.size() > 2 && rows.inputs[2] != k_absent) chain.bias = constant_floats(graph, rows.inputs[2]);
    chain.bias.resize(chain.scale.size(), 0.0f);
  }
  if (nodes.before >= 0) {
    const Node& before = graph.node(nodes.before);
    chain.from_codes = is_op(before, "DequantizeLinear");
    chain.is_scaled = !chain.from_codes;
    if (chain.from_codes)
      chain.in = affine_of({{graph, before}, isa}, graph.value(before.inputs[0]).dtype);
    else
      chain.factors.assign(512, *constant_scalar(graph, before.inputs[1]));
  }
  chain.to_codes = nodes.after >= 0;
  if (chain.to_codes) {
    const Node& after = graph.node(nodes.after);
    chain.out = affine_of({{graph, after}, isa}, graph.value(after.outputs[0]).dtype);
  }
  return chain;
}

}  // namespace

std::vector<RowChain> find_row_chains(const Graph& graph, const Uses& uses, Isa isa) {
  if (isa == Isa::scalar) return {};
  return Finder(graph, uses, isa).all();
}

Result<Done> chain_rows(const StepQuery& query, StepBuilder& builder, PreparedStep& step) {
  const NodeId id = id_of(query);
  const Neighbours& neighbours = builder.neighbours();
  if (neighbours.is_in_row_chain(id)) {
    step.for_taps = step.can_run_apart = true;
    step.done_by = neighbours.done_by(id);
    return Done{};
  }
  const RowChain* const nodes = neighbours.row_chain_of(id);
  if (!nodes) return Done{};
  Chain described = describe(query.graph, *nodes, query.isa);
  const Operand x = builder.value(query.graph.node(nodes->first()).inputs[0]), y = builder.output(query);
  const int64_t rows = described.rows = x.layout.elements / described.length;
  const auto chain = std::make_shared<const Chain>(std::move(described));
  step.scratch_bytes = std::max(step.scratch_bytes, chain->scratch_bytes());
  step.in_team = true;
  step.run_alone = std::move(step.run);
  step.run = [chain, rows, x = x.place, y = y.place](const RunContext& run) {
    constexpr int64_t k_passes = 8;  // as much work per element as so many copies
    run.parallel(rows, chain->length * k_passes, [&](int64_t first, int64_t last, int worker) {
      chain->run(run.at<std::byte>(x), first, last, run.at<std::byte>(y), run.scratch<float>(worker));
    });
  };
  return Done{};
}

}  // namespace octet::cpu
