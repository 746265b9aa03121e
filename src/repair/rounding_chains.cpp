// src/repair/rounding_chains.cpp: fake quantization written out in float ops becomes the pair that it is:
//   x / s (or x * 1/s) [+ z] -> Round [+ z] -> Clip(low, high) [Casts] [- z] -> * s      QuantizeLinear,
//   DequantizeLinear
// Clip may stand before Round (its bounds are integers). A range narrower than the codes' becomes a Clip of x. Codes:
// s8 for bounds in [-128, 127], u8 for bounds in [0, 255].

#include <cmath>

#include "repair/parameters.h"
#include "repair/repair.h"

namespace octet {
namespace {

struct Chain {
  NodeId first = -1, last = -1;
  ValueId x = k_absent;
  double scale = 0, low = -INFINITY, high = INFINITY;
  double before_round = 0, after_round = 0, after_clip = 0;  // what is added where
  bool multiplied = false, rounded = false, clipped = false;
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
  chain.x = node.inputs[0];
  std::optional<double> factor = other_scalar(graph, node, chain.x, false);
  if (!factor && chain.multiplied) {
    chain.x = node.inputs[1];
    factor = other_scalar(graph, node, chain.x, true);
  }
  if (!factor || !(*factor > 0) || !std::isfinite(*factor) || graph.constant(chain.x)) return false;
  chain.scale = chain.multiplied ? 1.0 / *factor : *factor;
  chain.text = node.op->name;
  return true;
}

/// Takes one node of the chain's middle; false when it does not belong to it.
bool take(const Graph& graph, const Node& node, ValueId at, Chain& chain) {
  if (is_any(node, {"Add", "Sub"})) {
    const std::optional<double> term = other_scalar(graph, node, at, is_op(node, "Add"));
    if (!term || *term != std::nearbyint(*term) || std::abs(*term) > 255) return false;
    const double signed_term = is_op(node, "Add") ? *term : -*term;
    (chain.clipped ? chain.after_clip : chain.rounded ? chain.after_round : chain.before_round) += signed_term;
    return !(chain.clipped && !chain.rounded);
  }
  if (is_op(node, "Round")) return !std::exchange(chain.rounded, true);
  if (is_op(node, "Clip")) {
    if (chain.clipped || node.inputs[0] != at || node.inputs.size() < 3) return false;
    const auto low = scalar_constant(graph, input(node, 1)), high = scalar_constant(graph, input(node, 2));
    if (!low || !high || *low != std::nearbyint(*low) || *high != std::nearbyint(*high) || *low >= *high) return false;
    chain.low = *low;
    chain.high = *high;
    return chain.clipped = true;
  }
  if (is_op(node, "Cast")) {  // codes as integers and back
    const std::string to = string_attribute(node, "to", "");
    return chain.rounded && chain.clipped && (to == "f32" || to == "s8" || to == "u8" || to == "s32");
  }
  return is_op(node, "Identity");
}

/// The real scale of the last node, * s or / (1/s); nothing when the node is no such thing.
std::optional<double> end_scale(const Graph& graph, const Node& node, ValueId at) {
  if (!is_any(node, {"Mul", "Div"})) return std::nullopt;
  const std::optional<double> factor = other_scalar(graph, node, at, is_op(node, "Mul"));
  if (!factor || !(*factor > 0)) return std::nullopt;
  return is_op(node, "Mul") ? *factor : 1.0 / *factor;
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
    if (chain.rounded && chain.clipped) {
      if (const std::optional<double> scale = end_scale(graph, node, v)) {
        if (std::abs(*scale / chain.scale - 1) > 1e-6) return std::nullopt;
        chain.scale = *scale;
        chain.last = next;
        return chain;
      }
    }
    if (!take(graph, node, v, chain)) return std::nullopt;
    at = next;
  }
}

/// The codes that the chain's bounds and offsets speak of; nothing when they are of no 8-bit dtype.
std::optional<CodeParams> params_of(const Chain& chain) {
  const double zero = chain.before_round + chain.after_round;
  if (zero + chain.after_clip != 0) return std::nullopt;
  CodeParams params{static_cast<float>(chain.scale), static_cast<int32_t>(zero), DType::undefined};
  if (chain.low >= -128 && chain.high <= 127 && zero >= -128 && zero <= 127)
    params.dtype = DType::s8;
  else if (chain.low >= 0 && chain.high <= 255 && zero >= 0 && zero <= 255)
    params.dtype = DType::u8;
  if (chain.low >= 0 && zero >= 0 && chain.low + chain.high > 127)
    params.dtype = chain.high <= 255 ? DType::u8 : params.dtype;
  if (params.dtype == DType::undefined) return std::nullopt;
  return params;
}

void write_pair(Editor& editor, const Chain& chain, const CodeParams& params, RepairLog& log) {
  Graph& graph = editor.graph();
  const std::string base = graph.value(chain.x).name;
  const bool is_signed = params.dtype == DType::s8;
  const double low = is_signed ? -128 : 0, high = is_signed ? 127 : 255;
  ValueId x = chain.x;
  if (chain.low > low || chain.high < high) {
    const auto real = [&](double code) {
      return scalar_f32(static_cast<float>((code - params.zero_point) * double{params.scale}));
    };
    const ValueId clipped = editor.add_value(base + "_clipped", x);
    editor.insert_before(chain.last, make_node("Clip", "",
                                               {x, editor.add_constant(base + "_low", real(chain.low)),
                                                editor.add_constant(base + "_high", real(chain.high))},
                                               {clipped}));
    x = clipped;
  }
  const ValueId scale = editor.add_constant(base + "_scale", scalar_f32(params.scale));
  const ValueId zero = editor.add_constant(base + "_zero_point", code_scalar(params.dtype, params.zero_point));
  const ValueId q = editor.add_value(base + "_quantized", params.dtype, graph.value(chain.x).shape);
  const Node last = editor.node(chain.last);
  std::string change;
  if (chain.multiplied) change = "one step where x * (1/scale) and x / scale round apart";
  if (chain.before_round != 0) change = "one step where a tie rounds to the other even code";
  log.add(label(graph, last), chain.text, "QuantizeLinear, DequantizeLinear, " + params_text(params), change);
  editor.insert_before(chain.last, make_node("QuantizeLinear", "", {x, scale, zero}, {q}));
  editor.replace(chain.last, make_node("DequantizeLinear", last.name, {q, scale, zero}, last.outputs));
}

}  // namespace

Result<Done> rounding_chains(Graph& graph, RepairLog& log) {
  Editor editor(graph);
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    const std::optional<Chain> chain = match(editor, id);
    if (!chain) continue;
    if (const std::optional<CodeParams> params = params_of(*chain)) write_pair(editor, *chain, *params, log);
  }
  return Done{};
}

}  // namespace octet
