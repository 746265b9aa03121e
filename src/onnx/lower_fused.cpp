// Expansions of octet's fused float ops: act(conv(x, w) + b + residual), act(x * w^T + b), act(a + b) as their plain
// ONNX nodes. Source: src/ir/ops/README.md.

#include "onnx/lowering.h"

namespace octet {
namespace {

std::string derived(const Node& node, std::string_view suffix) {
  return node.name.empty() ? std::string() : node.name + "_" + std::string(suffix);
}

/// The k-th of activation_params.
Result<float> parameter(const Lowering& lowering, const Node& node, size_t k) {
  const std::vector<float> params = floats_attribute(node, "activation_params", {});
  if (k < params.size()) return params[k];
  return lowering.error(node, "activation_params has " + std::to_string(params.size()) +
                                  " numbers, expected more than " + std::to_string(k));
}

Result<Done> emit_clip(Lowering& lowering, const Node& node, ValueId x, ValueId y) {
  const Result<float> low = parameter(lowering, node, 0);
  if (!low) return low.error();
  const Result<float> high = parameter(lowering, node, 1);
  if (!high) return high.error();
  const Result<ValueId> min = lowering.real_constant(node, y, "min", *low);
  if (!min) return min.error();
  const Result<ValueId> max = lowering.real_constant(node, y, "max", *high);
  if (!max) return max.error();
  return lowering.emit("Clip", derived(node, "Clip"), {x, *min, *max}, y);
}

/// y = activation(x) by the node's attributes; the activation is not "".
Result<Done> emit_activation(Lowering& lowering, const Node& node, ValueId x, ValueId y) {
  const std::string activation = string_attribute(node, "activation", "");
  if (activation == "Clip") return emit_clip(lowering, node, x, y);
  Attributes attributes;
  if (activation == "LeakyRelu" || activation == "HardSigmoid") {
    const Result<float> alpha = parameter(lowering, node, 0);
    if (!alpha) return alpha.error();
    attributes["alpha"] = *alpha;
  }
  if (activation == "HardSigmoid") {
    const Result<float> beta = parameter(lowering, node, 1);
    if (!beta) return beta.error();
    attributes["beta"] = *beta;
  }
  if (!find_op(activation)) return lowering.error(node, "the activation '" + activation + "' has no ONNX form");
  return lowering.emit(activation, derived(node, activation), {x}, y, std::move(attributes));
}

/// Where the part before the activation writes: y itself when there is none.
ValueId before_activation(Lowering& lowering, const Node& node) {
  return string_attribute(node, "activation", "").empty() ? node.outputs[0]
                                                          : lowering.value_like(node.outputs[0], "linear");
}

Result<Done> finish(Lowering& lowering, const Node& node, ValueId linear) {
  return linear == node.outputs[0] ? Result<Done>(Done{}) : emit_activation(lowering, node, linear, node.outputs[0]);
}

bool has_input(const Node& node, size_t i) { return i < node.inputs.size() && node.inputs[i] != k_absent; }

}  // namespace

Result<Done> lower_fused_conv(Lowering& lowering, const Node& node) {
  Attributes attributes = node.attributes;
  attributes.erase("activation");
  attributes.erase("activation_params");
  std::vector<ValueId> inputs = {node.inputs[0], node.inputs[1]};
  if (has_input(node, 2)) inputs.push_back(node.inputs[2]);
  const ValueId linear = before_activation(lowering, node);
  if (!has_input(node, 3)) {
    if (Result<Done> ok = lowering.emit("Conv", node.name, inputs, linear, std::move(attributes)); !ok) return ok;
  } else {
    const ValueId conv = lowering.value_like(node.outputs[0], "conv");
    if (Result<Done> ok = lowering.emit("Conv", node.name, inputs, conv, std::move(attributes)); !ok) return ok;
    if (Result<Done> ok = lowering.emit("Add", derived(node, "Add"), {conv, node.inputs[3]}, linear); !ok) return ok;
  }
  return finish(lowering, node, linear);
}

Result<Done> lower_fused_gemm(Lowering& lowering, const Node& node) {
  std::vector<ValueId> inputs = {node.inputs[0], node.inputs[1]};
  if (has_input(node, 2)) inputs.push_back(node.inputs[2]);
  const ValueId linear = before_activation(lowering, node);
  if (Result<Done> ok = lowering.emit("Gemm", node.name, inputs, linear, {{"transB", int64_t{1}}}); !ok) return ok;
  return finish(lowering, node, linear);
}

Result<Done> lower_fused_add(Lowering& lowering, const Node& node) {
  const ValueId linear = before_activation(lowering, node);
  if (Result<Done> ok = lowering.emit("Add", node.name, {node.inputs[0], node.inputs[1]}, linear); !ok) return ok;
  return finish(lowering, node, linear);
}

}  // namespace octet
