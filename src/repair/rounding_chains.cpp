// src/repair/rounding_chains.cpp: fake quantization written out in float ops becomes the pair that it is:
//   x / s (or x * 1/s) [+ z] -> Round [+ z] -> Clip(low, high) [Casts] [- z] -> * s      QuantizeLinear,
//   DequantizeLinear
// Clip may stand before Round (its bounds are integers) and may be Max and Min; Round may be Floor of a half more. A
// range narrower than the codes' becomes a Clip of x. Codes: s8 for bounds in [-128, 127], u8 for bounds in [0, 255].
// There may be one s for each index of an axis ([K,1,1,1] for a convolution's weight, [1,C,1,1] for what it reads).

#include <algorithm>
#include <cmath>

#include "repair/parameters.h"
#include "repair/repair.h"

namespace octet {
namespace {

struct Chain {
  NodeId first = -1, last = -1;
  ValueId x = k_absent;
  std::vector<double> scales;  // one, or one for each index of the axis
  int64_t axis = 0;
  double low = -INFINITY, high = INFINITY;
  double before_round = 0, after_round = 0, after_clip = 0;  // what is added where
  bool multiplied = false, rounded = false, floored = false;
  bool bounded() const { return std::isfinite(low) || std::isfinite(high); }
  bool clipped() const { return std::isfinite(low) && std::isfinite(high); }
  std::string text;
};

std::optional<double> other_scalar(const Graph& graph, const Node& node, ValueId chain, bool commutes) {
  if (node.inputs[0] == chain)
    if (const auto s = scalar_constant(graph, node.inputs[1])) return *s;
  if (commutes && node.inputs[1] == chain)
    if (const auto s = scalar_constant(graph, node.inputs[0])) return *s;
  return std::nullopt;
}

/// The scale of x / s or x * (1/s) as the first node of a chain.
bool begin(const Graph& graph, const Node& node, Chain& chain) {
  if (!is_any(node, {"Div", "Mul"}) || graph.value(node.outputs[0]).dtype != DType::f32) return false;
  chain.multiplied = is_op(node, "Mul");
  for (size_t i = 0; i < (chain.multiplied ? 2u : 1u) && chain.x == k_absent; ++i) {
    chain.scales = scales_of(graph, node.inputs[1 - i], node.inputs[i], chain.axis);
    if (!chain.scales.empty() && !scalar_constant(graph, node.inputs[i])) chain.x = node.inputs[i];
  }
  if (chain.x == k_absent || !are_positive(chain.scales)) return false;
  if (chain.multiplied)
    for (double& s : chain.scales) s = 1.0 / s;
  chain.text = node.op->name;
  return true;
}

/// A bound of the codes, each once.
bool bound(double& at, double value) {
  if (std::isfinite(at) || value != std::nearbyint(value)) return false;
  at = value;
  return true;
}

/// Adds a term where it stands: integers, and the half before Floor.
bool add_term(Chain& chain, double term) {
  if (std::abs(term) > 256 || chain.bounded() != chain.clipped()) return false;
  if (!chain.rounded && !chain.clipped() && term * 2 == std::nearbyint(term * 2))
    return chain.before_round += term, true;
  if (term != std::nearbyint(term) || !chain.rounded) return false;
  (chain.clipped() ? chain.after_clip : chain.after_round) += term;
  return true;
}

/// Takes one node of the chain's middle; false when it does not belong to it.
bool take(const Graph& graph, const Node& node, ValueId at, Chain& chain) {
  if (is_any(node, {"Add", "Sub"})) {
    const std::optional<double> term = other_scalar(graph, node, at, is_op(node, "Add"));
    return term && add_term(chain, is_op(node, "Add") ? *term : -*term);
  }
  if (is_any(node, {"Round", "Floor"})) {
    chain.floored = is_op(node, "Floor");
    if (chain.floored) chain.before_round -= 0.5;
    const bool whole = chain.before_round == std::nearbyint(chain.before_round);
    return whole && !std::exchange(chain.rounded, true);
  }
  if (is_any(node, {"Max", "Min"}) && node.inputs.size() == 2) {
    const std::optional<double> limit = other_scalar(graph, node, at, true);
    return limit && bound(is_op(node, "Max") ? chain.low : chain.high, *limit);
  }
  if (is_op(node, "Clip")) {
    if (chain.bounded() || node.inputs[0] != at || node.inputs.size() < 3) return false;
    const auto low = scalar_constant(graph, input(node, 1)), high = scalar_constant(graph, input(node, 2));
    return low && high && bound(chain.low, *low) && bound(chain.high, *high);
  }
  if (is_op(node, "Cast")) {  // codes as integers and back
    const std::string to = string_attribute(node, "to", "");
    return chain.rounded && chain.clipped() && (to == "f32" || to == "s8" || to == "u8" || to == "s32");
  }
  return is_op(node, "Identity");
}

/// The real scales of the last node, * s or / (1/s); nothing when the node is no such thing or they are others.
bool end(const Graph& graph, const Node& node, ValueId at, Chain& chain) {
  if (!is_any(node, {"Mul", "Div"})) return false;
  const size_t i = node.inputs[0] == at ? 1 : 0;
  if (i == 0 && is_op(node, "Div")) return false;
  int64_t axis = chain.axis;
  std::vector<double> scales = scales_of(graph, node.inputs[i], chain.x, axis);
  if (!are_positive(scales) || scales.size() != chain.scales.size() || axis != chain.axis) return false;
  for (size_t c = 0; c < scales.size(); ++c) {
    if (is_op(node, "Div")) scales[c] = 1.0 / scales[c];
    if (std::abs(scales[c] / chain.scales[c] - 1) > 1e-6) return false;
  }
  chain.scales = scales;
  return true;
}

std::optional<Chain> match(const Editor& editor, NodeId first) {
  const Graph& graph = editor.graph();
  Chain chain;
  chain.first = first;
  if (!begin(graph, editor.node(first), chain)) return std::nullopt;
  for (NodeId at = first;;) {
    const ValueId v = editor.node(at).outputs[0];
    const NodeId next = editor.only_reader(v);
    if (next < 0) return std::nullopt;
    const Node& node = editor.node(next);
    chain.text += ", " + std::string(node.op->name);
    if (chain.rounded && chain.clipped() && end(graph, node, v, chain)) {
      chain.last = next;
      return chain;
    }
    if (!take(graph, node, v, chain)) return std::nullopt;
    at = next;
  }
}

/// The codes that the chain's bounds and offsets speak of; nothing when they are of no 8-bit dtype.
std::optional<CodeParams> params_of(const Chain& chain) {
  const double zero = chain.before_round + chain.after_round;
  if (zero + chain.after_clip != 0 || !(chain.low < chain.high)) return std::nullopt;
  if (chain.scales.size() > 1 && zero != 0) return std::nullopt;
  CodeParams params{static_cast<float>(chain.scales[0]), static_cast<int32_t>(zero), DType::undefined};
  if (chain.low >= -128 && chain.high <= 127 && zero >= -128 && zero <= 127)
    params.dtype = DType::s8;
  else if (chain.low >= 0 && chain.high <= 255 && zero >= 0 && zero <= 255)
    params.dtype = DType::u8;
  if (chain.low >= 0 && zero >= 0 && chain.low + chain.high > 127)
    params.dtype = chain.high <= 255 ? DType::u8 : params.dtype;
  if (params.dtype == DType::undefined) return std::nullopt;
  return params;
}

/// The numbers of a weight within the chain's range.
Tensor clamped(const Tensor& weight, const Chain& chain, int32_t zero) {
  size_t inner = 1;
  for (size_t d = static_cast<size_t>(chain.axis) + 1; d < weight.rank(); ++d)
    inner *= static_cast<size_t>(weight.dims()[d]);
  std::vector<float> values(weight.as<float>().begin(), weight.as<float>().end());
  for (size_t i = 0; i < values.size(); ++i) {
    const double s = chain.scales[chain.scales.size() == 1 ? 0 : i / inner % chain.scales.size()];
    values[i] =
        std::clamp(values[i], static_cast<float>((chain.low - zero) * s), static_cast<float>((chain.high - zero) * s));
  }
  return f32_tensor(weight.dims(), values);
}

/// The bounds are those of the codes.
bool fills(const Chain& chain, bool is_signed) {
  return chain.low <= (is_signed ? -128 : 0) && chain.high >= (is_signed ? 127 : 255);
}

/// x within the chain's range where that is narrower than the codes'.
ValueId clipped(Editor& editor, const Chain& chain, const CodeParams& params) {
  Graph& graph = editor.graph();
  const bool is_signed = params.dtype == DType::s8;
  if (fills(chain, is_signed)) return chain.x;
  const std::string base = graph.value(chain.x).name;
  if (const Tensor* weight = constant_of(graph, chain.x, DType::f32))
    return editor.add_constant(base + "_clipped", clamped(*weight, chain, params.zero_point));
  const auto real = [&](double code) {
    return scalar_f32(static_cast<float>((code - params.zero_point) * double{params.scale}));
  };
  const ValueId made = editor.add_value(base + "_clipped", chain.x);
  editor.insert_before(chain.last, make_node("Clip", "",
                                             {chain.x, editor.add_constant(base + "_low", real(chain.low)),
                                              editor.add_constant(base + "_high", real(chain.high))},
                                             {made}));
  return made;
}

void write_pair(Editor& editor, const Chain& chain, const CodeParams& params, RepairLog& log) {
  Graph& graph = editor.graph();
  const std::string base = graph.value(chain.x).name;
  const bool vector = chain.scales.size() > 1;
  const Dims dims = vector ? Dims{static_cast<int64_t>(chain.scales.size())} : Dims{};
  const std::vector<float> scales(chain.scales.begin(), chain.scales.end());
  const ValueId x = clipped(editor, chain, params);
  const ValueId scale = editor.add_constant(base + "_scale", f32_tensor(dims, scales));
  const std::vector<int32_t> zeros(scales.size(), params.zero_point);
  const ValueId zero = editor.add_constant(base + "_zero_point", code_tensor(params.dtype, dims, zeros));
  const ValueId q = editor.add_value(base + "_quantized", params.dtype, graph.value(chain.x).shape);
  const Node last = editor.node(chain.last);
  std::string change;
  if (chain.multiplied) change = "one step where x * (1/scale) and x / scale round apart";
  if (chain.before_round != 0) change = "one step where a tie rounds to the other even code";
  if (chain.floored) change = "one step at a tie, which rounds to even, not up";
  const Attributes axis = vector ? Attributes{{"axis", chain.axis}} : Attributes{};
  const std::string text = vector ? std::string(name(params.dtype)) + ", " + std::to_string(scales.size()) +
                                        " scales along axis " + std::to_string(chain.axis)
                                  : params_text(params);
  log.add(label(graph, last), chain.text, "QuantizeLinear, DequantizeLinear, " + text, change);
  editor.insert_before(chain.last, make_node("QuantizeLinear", "", {x, scale, zero}, {q}, axis));
  editor.replace(chain.last, make_node("DequantizeLinear", last.name, {q, scale, zero}, last.outputs, axis));
}

}  // namespace

Result<Done> rounding_chains(Graph& graph, RepairLog& log) {
  Editor editor(graph);
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    const std::optional<Chain> chain = match(editor, id);
    if (!chain) continue;
    const std::optional<CodeParams> params = params_of(*chain);
    if (!params) continue;
    // Data with a scale for each channel has no Clip that says a narrower range.
    const bool weight = graph.constant(chain->x) != nullptr;
    if (chain->scales.size() > 1 && !weight && !fills(*chain, params->dtype == DType::s8)) continue;
    write_pair(editor, *chain, *params, log);
  }
  return Done{};
}

}  // namespace octet
