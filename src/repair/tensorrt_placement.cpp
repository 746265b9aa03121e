// TensorRT's rules on where pairs stand, and on the network as a whole.

#include <algorithm>

#include "repair/tensorrt_check.h"

namespace octet {
namespace {

bool moves_elements(const Node& node) {
  return node.op->quant.role == QuantRole::same_scale || node.op->quant.role == QuantRole::shared_scale ||
         is_any(node, {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Split", "Gather"});
}

/// The DequantizeLinear whose codes come from a QuantizeLinear or a graph input above v.
const Node* pair_above(const TensorRtCheck& check, ValueId v) { return check.producer(v, "DequantizeLinear"); }

std::optional<float> scale_of(const TensorRtCheck& check, const Node& node) {
  return scalar_constant(check.graph, node.inputs[1]);
}

/// R21 and R22 for the readers of a QuantizeLinear's codes.
void check_codes(TensorRtCheck& check, const Node& quantize) {
  for (const NodeId id : check.readers(quantize.outputs[0])) {
    const Node& reader = check.graph.node(id);
    if (is_op(reader, "Identity"))
      check.warning(21, reader, "stands between QuantizeLinear and DequantizeLinear; it moves the codes only.",
                    "octet repair takes it out.");
    if (is_dequantize(reader) || moves_elements(reader)) continue;
    if (is_any(reader, {"Cast", "Identity", "Clip"}))
      check.error(21, reader, "stands between QuantizeLinear and DequantizeLinear.",
                  "octet repair takes it out where the codes stay the same.");
    else
      check.error(22, reader, "computes on the codes of '" + label(check.graph, quantize) + "'.",
                  "dequantize before it.");
  }
}

void check_after_layer(TensorRtCheck& check, const Node& quantize) {
  const Node* layer = check.producer(quantize.inputs[0]);
  if (!layer || !is_any(*layer, {"Conv", "ConvTranspose", "Gemm"})) return;
  const Node* dequantize = check.only_reader(quantize.outputs[0]);
  const Node* next = dequantize && is_dequantize(*dequantize) ? check.only_reader(dequantize->outputs[0]) : nullptr;
  if (next && is_any(*next, {"BatchNormalization", "Relu", "Clip", "LeakyRelu"}))
    check.warning(27, quantize,
                  "a pair between " + std::string(layer->op->name) + " and " + std::string(next->op->name) +
                      " keeps them from being fused.",
                  "put the pair behind the " + std::string(next->op->name) + ".");
}

bool comes_from_conv(const TensorRtCheck& check, ValueId v) { return check.producer(v, "Conv") != nullptr; }

/// A pair right behind a Conv that only the Add reads.
bool is_quantized_conv(const TensorRtCheck& check, ValueId v) {
  const Node* dequantize = check.producer(v, "DequantizeLinear");
  const Node* quantize = dequantize ? check.producer(dequantize->inputs[0], "QuantizeLinear") : nullptr;
  return quantize && comes_from_conv(check, quantize->inputs[0]) && check.uses.single_use(v);
}

void check_add(TensorRtCheck& check, const Node& add) {
  const Node* end = check.only_reader(add.outputs[0]);
  if (end && is_any(*end, {"Relu", "Clip"})) end = check.only_reader(end->outputs[0]);
  if (!end || !is_quantize(*end)) return;
  for (size_t i = 0; i < 2; ++i) {
    const ValueId conv = add.inputs[i], identity = add.inputs[1 - i];
    if (comes_from_conv(check, conv) && !pair_above(check, identity) && !comes_from_conv(check, identity) &&
        !check.constant(identity))
      return check.warning(
          28, add, "the identity branch '" + check.graph.value(identity).name + "' is float: the Add runs in float.",
          "put a pair on the identity branch (octet repair does it where the value has codes).");
    if (is_quantized_conv(check, conv) && pair_above(check, identity))
      return check.warning(28, add, "the convolution's branch has a pair too: the Add is a layer of its own.",
                           "take the pair off the convolution's branch.");
  }
}

void check_mover(TensorRtCheck& check, const Node& node) {
  if (node.outputs.size() != 1) return;
  const Node* before = pair_above(check, node.inputs[0]);
  const Node* after = check.only_reader(node.outputs[0]);
  if (!before || !after || !is_quantize(*after)) return;
  const std::optional<float> a = scale_of(check, *before), b = scale_of(check, *after);
  if (a && b && *a != *b)
    check.warning(29, node, "scale " + short_text(*a) + " before it, " + short_text(*b) + " behind it: requantized.",
                  "one scale on both sides.");
}

void check_concat(TensorRtCheck& check, const Node& concat) {
  std::optional<float> first;
  for (const ValueId v : concat.inputs) {
    const Node* pair = pair_above(check, v);
    const std::optional<float> scale = pair ? scale_of(check, *pair) : std::nullopt;
    if (!scale) return;
    if (first && *scale != *first)
      return check.warning(
          33, concat,
          "inputs with scales " + short_text(*first) + " and " + short_text(*scale) + ": each is requantized.",
          "one scale for all inputs.");
    first = scale;
  }
}

void check_pool(TensorRtCheck& check, const Node& pool) {
  if (!pair_above(check, pool.inputs[0])) return;
  const std::vector<NodeId>& readers = check.readers(pool.outputs[0]);
  const bool quantized = std::any_of(readers.begin(), readers.end(), [&](NodeId id) {
    const Node& reader = check.graph.node(id);
    if (is_quantize(reader)) return true;
    const Node* behind = moves_elements(reader) ? check.only_reader(reader.outputs[0]) : nullptr;
    return behind && is_quantize(*behind);
  });
  if (!quantized)
    check.warning(34, pool, "a pair before it and none behind: it ends in float.", "put a pair behind it.");
}

/// R35 and R41.
void check_quantize(TensorRtCheck& check, const Node& quantize) {
  if (const Node* before = pair_above(check, quantize.inputs[0]); before && !check.constant(before->inputs[0])) {
    const std::optional<float> a = scale_of(check, *before), b = scale_of(check, quantize);
    if (a && b)
      check.warning(35, quantize,
                    *a == *b
                        ? "quantizes again with the same scale: TensorRT cancels it."
                        : "quantizes again, scale " + short_text(*a) + " to " + short_text(*b) + ": two roundings.",
                    *a == *b ? "octet repair takes it out." : "keep one of the two pairs.");
  }
  const std::vector<NodeId>& all = check.readers(quantize.inputs[0]);
  for (const NodeId id : all) {
    const Node& other = check.graph.node(id);
    if (&other == &quantize || !is_quantize(other)) continue;
    if (&other < &quantize) return;  // told at the first
    if (scale_of(check, other) != scale_of(check, quantize))
      return check.note(
          41, label(check.graph, quantize),
          "'" + check.graph.value(quantize.inputs[0]).name + "' is quantized with several scales, a copy each.");
  }
}

/// QLinear forms hold their parameters; dynamic ones have no ranges before samples are seen.
void check_operator_forms(TensorRtCheck& check) {
  for (const auto& [node, op] : check.file.operator_forms)
    check.findings.push_back(
        {23, Severity::error, node, op + "; TensorRT has no importer for it.",
         op.starts_with("QLinear") || op == "QGemm"
             ? "octet repair writes it as QuantizeLinear and DequantizeLinear."
             : "octet repair --recalibrate --target tensorrt --calib-data DIR gives the float layer behind it "
               "ranges from samples."});
}

}  // namespace

void check_placement(TensorRtCheck& check, const Node& node) {
  if (is_quantize(node)) {
    if (!check.derives_from_constant(node.inputs[0])) {
      check_codes(check, node);
      check_after_layer(check, node);
      check_quantize(check, node);
    }
    return;
  }
  if (is_op(node, "Add")) check_add(check, node);
  if (is_op(node, "Concat")) return check_concat(check, node);
  if (moves_elements(node)) check_mover(check, node);
  if (is_any(node, {"AveragePool", "GlobalAveragePool", "ReduceMean"})) check_pool(check, node);
}

void check_network(TensorRtCheck& check) {
  check_operator_forms(check);
  if (!holds_q_or_dq(check.graph)) return;
  check.note(30, "", "TensorRT 8 to 10 need --int8 for this network, strong typing and 11 do not.");
  if (check.file.calibration_given)
    check.findings.push_back({31, Severity::warning, "",
                              "the network is explicit: calibration data and caches are ignored.",
                              "leave the calibration out, or calibrate the float network."});
  const Node *fp8 = nullptr, *int8 = nullptr;
  for (const Node& node : check.graph.nodes) {
    if (!is_q_or_dq(node)) continue;
    const DType codes = check.graph.value(is_quantize(node) ? node.outputs[0] : node.inputs[0]).dtype;
    if (codes == DType::f8e4m3fn || codes == DType::f8e5m2) fp8 = &node;
    if (codes == DType::s8) int8 = &node;
  }
  if (fp8 && int8)
    check.error(
        32, *fp8,
        "FP8 codes beside the int8 codes of '" + label(check.graph, *int8) + "'; TensorRT takes one of the two.",
        "quantize the whole network in int8.");
  for (const ValueId v : check.graph.inputs)
    if (is_code(check.graph.value(v).dtype))
      check.note(39, "", "graph input '" + check.graph.value(v).name + "' is of codes: give it an int8 format.");
  const Node* first = nullptr;
  const Node* last = nullptr;
  for (const Node& node : check.graph.nodes) {
    if (!is_layer(node) || node.inputs.size() < 2) continue;
    if (!first) first = &node;
    last = &node;
  }
  for (const Node* end : {first, last == first ? nullptr : last})
    if (end && !pair_above(check, end->inputs[0]))
      check.note(42, label(check.graph, *end),
                 std::string(end == first ? "the first" : "the last") + " layer is float.");
}

}  // namespace octet
