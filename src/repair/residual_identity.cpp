// src/repair/residual_identity.cpp: a residual Add runs in integers when its identity branch is quantized. Where that
// branch is float although the same value is quantized for another reader, whose codes are proven to hold every value
// it can have, the Add reads the dequantized value too; where its range is known all the same (moved codes, a Clip's
// bounds, a Sigmoid's), it gets codes of its own. Nothing saturates that did not: a branch whose values may lie beyond
// the other reader's codes stays float; so does one whose rounding moves the sum by more than a step of the sum's own
// codes, as far as the file itself rounds. The other branch is an integer convolution's result or dequantized codes,
// and the sum ends in codes: a float sum stays, since rounding one of its parts would cost accuracy and gain nothing.
// What stays is told as a note.

#include <algorithm>
#include <cmath>

#include "repair/bounds.h"
#include "repair/parameters.h"
#include "repair/repair.h"

namespace octet {
namespace {

/// A Conv of quantized data and weight whose result only the Add reads.
bool is_integer_conv(const Editor& editor, ValueId v) {
  const Node* conv = editor.producer(v, "Conv");
  return conv && editor.single_use(v) && editor.producer(conv->inputs[0], "DequantizeLinear") &&
         editor.producer(conv->inputs[1], "DequantizeLinear");
}

/// The QuantizeLinear of the Add's result, perhaps behind an activation, or -1.
NodeId quantize_of_sum(const Editor& editor, const Node& add) {
  NodeId reader = editor.only_reader(add.outputs[0]);
  if (reader >= 0 && is_any(editor.node(reader), {"Relu", "Clip"}))
    reader = editor.only_reader(editor.node(reader).outputs[0]);
  return reader >= 0 && is_quantize(editor.node(reader)) ? reader : -1;
}

/// Half a step of the branch's codes is at most a step of the sum's.
bool is_fine_enough(const CodeParams& branch, const std::optional<CodeParams>& sum) {
  return sum && double{branch.scale} / 2 <= double{sum->scale};
}

/// Codes that the network computes, dequantized.
bool is_in_codes(const Editor& editor, ValueId v) {
  const Node* dequantize = editor.producer(v, "DequantizeLinear");
  return dequantize && !editor.graph().constant(dequantize->inputs[0]);
}

/// Whether codes of these parameters hold every value within the bounds, but for half a step at the ends.
bool holds(const CodeParams& params, const ValueBounds& bounds) {
  const double lowest = params.dtype == DType::u8 ? 0 : -128, step = params.scale;
  return bounds.low >= (lowest - params.zero_point - 0.5) * step &&
         bounds.high <= (lowest + 255 - params.zero_point + 0.5) * step;
}

/// The DequantizeLinear that reads v's codes with the parameters of its QuantizeLinear, or -1. holding: only where the
/// codes are proven to hold every value of v, so that none saturates.
NodeId pair_of(const Editor& editor, ValueId v, bool holding) {
  const Graph& graph = editor.graph();
  const std::optional<ValueBounds> bounds = holding ? bounds_of(editor, v) : std::nullopt;
  if (holding && !bounds) return -1;
  for (const NodeId quantize : editor.readers(v)) {
    if (!is_quantize(editor.node(quantize))) continue;
    const std::optional<CodeParams> params = code_params(graph, editor.node(quantize));
    if (!params || (bounds && !holds(*params, *bounds))) continue;
    for (const NodeId dequantize : editor.readers(editor.node(quantize).outputs[0]))
      if (is_dequantize(editor.node(dequantize)) && code_params(graph, editor.node(dequantize)) == params)
        return dequantize;
  }
  return -1;
}

/// A range that the branch has by what makes it: codes that were moved only keep their parameters, a Clip between two
/// numbers and a Sigmoid have their bounds. moved: nothing is lost.
struct KnownRange {
  CodeParams params;
  bool moved = false;
};
std::optional<KnownRange> known_range(const Editor& editor, ValueId v) {
  const Graph& graph = editor.graph();
  const NodeId id = editor.producer(before_movers(editor, v));
  if (id < 0) return std::nullopt;
  const Node& node = editor.node(id);
  if (is_dequantize(node) && !graph.constant(node.inputs[0])) {
    const std::optional<CodeParams> params = code_params(graph, node);
    return params ? std::optional(KnownRange{*params, true}) : std::nullopt;
  }
  double low = 0, high = 1;
  if (is_op(node, "Clip")) {
    const auto a = scalar_constant(graph, input(node, 1)), b = scalar_constant(graph, input(node, 2));
    if (!a || !b || !(*a < *b)) return std::nullopt;
    low = double{*a}, high = double{*b};
  } else if (!is_any(node, {"Sigmoid", "HardSigmoid", "Softmax"})) {
    return std::nullopt;
  }
  const bool positive = low >= 0;
  const double amax = std::max(std::abs(low), std::abs(high));
  return KnownRange{{static_cast<float>(amax / (positive ? 255 : 127)), 0, positive ? DType::u8 : DType::s8}, false};
}

/// v through codes of its own, before the Add.
ValueId quantized(Editor& editor, NodeId add, ValueId v, const CodeParams& params) {
  const std::string base = editor.graph().value(v).name;
  const ValueId scale = editor.add_constant(base + "_scale", scalar_f32(params.scale));
  const ValueId zero = editor.add_constant(base + "_zero_point", code_scalar(params.dtype, params.zero_point));
  const ValueId codes = editor.add_value(base + "_quantized", params.dtype, editor.graph().value(v).shape);
  const ValueId real = editor.add_value(base + "_dequantized", v);
  editor.insert_before(add, make_node("QuantizeLinear", "", {v, scale, zero}, {codes}));
  editor.insert_before(add, make_node("DequantizeLinear", "", {codes, scale, zero}, {real}));
  return real;
}

/// The input of a residual Add that is float beside codes: perhaps an identity branch.
std::optional<size_t> float_branch(const Editor& editor, const Node& add) {
  for (size_t i = 0; i < 2; ++i) {
    const ValueId other = add.inputs[1 - i], identity = add.inputs[i];
    if (!is_integer_conv(editor, other) && !is_in_codes(editor, other)) continue;
    if (editor.graph().constant(identity) || editor.producer(identity, "DequantizeLinear") ||
        is_integer_conv(editor, identity))
      continue;
    return i;
  }
  return std::nullopt;
}

}  // namespace

Result<Done> residual_identity(Graph& graph, RepairLog& log) {
  bool edited = false;
  {
    Editor editor(graph);
    for (NodeId id = 0; id < editor.node_count(); ++id) {
      const Node add = editor.node(id);
      const std::optional<size_t> branch = is_op(add, "Add") ? float_branch(editor, add) : std::nullopt;
      if (!branch) continue;
      const std::string left = "node '" + label(graph, add) + "' (Add): its branch '" +
                               graph.value(add.inputs[*branch]).name + "' is float beside codes and stays so, ";
      const ValueId identity = add.inputs[*branch];
      const bool has_codes = pair_of(editor, identity, false) >= 0;
      const NodeId quantize = quantize_of_sum(editor, add);
      if (quantize < 0) {
        if (has_codes) log.notes.push_back(left + "since its result is float too: the Add runs in float");
        continue;
      }
      const NodeId dequantize = pair_of(editor, identity, true);
      const std::optional<KnownRange> range = dequantize < 0 ? known_range(editor, identity) : std::nullopt;
      const std::optional<CodeParams> sum = code_params(graph, editor.node(quantize));
      std::optional<CodeParams> params;
      if (range) params = range->params;
      if (dequantize >= 0) params = code_params(graph, editor.node(dequantize));
      if (params && !(range && range->moved) && !is_fine_enough(*params, sum)) {
        log.notes.push_back(left + "since half a step of its codes, " + short_text(params->scale / 2) +
                            ", is more than a step of the sum's: the Add runs in float");
        continue;
      }
      if (range) {
        log.add(
            label(graph, add), "float identity branch '" + graph.value(identity).name + "'",
            "codes of its own, " + params_text(range->params),
            range->moved ? "" : "the branch is rounded, by up to half a step = " + short_text(range->params.scale / 2));
        editor.set_input(id, *branch, quantized(editor, id, identity, range->params));
        edited = true;
        continue;
      }
      if (dequantize < 0) {
        log.notes.push_back(
            left +
            (has_codes ? "since it may have values beyond those of its codes" : "since nothing tells its range") +
            ": the Add runs in float; octet repair --recalibrate --calib-data DIR finds ranges");
        continue;
      }
      log.add(label(graph, add), "float identity branch '" + graph.value(identity).name + "'",
              "its codes, " + params_text(*params),
              "the branch is rounded, by up to half a step = " + short_text(params->scale / 2));
      editor.set_input(id, *branch, editor.node(dequantize).outputs[0]);
      edited = true;
    }
  }
  return edited ? sort_nodes(graph) : Result<Done>(Done{});
}

}  // namespace octet
