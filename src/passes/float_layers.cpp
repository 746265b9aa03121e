// Takes quantization out of a Q/DQ graph, for all layers or for some: what --precision best compares and writes.

#include "ir/op.h"
#include "passes/passes.h"

namespace octet {
namespace {

/// The constant that a DequantizeLinear of constants computes; nothing for any other value.
std::optional<Tensor> dequantized(const Graph& graph, const Uses& uses, ValueId v) {
  if (v == k_absent || uses.producer[static_cast<size_t>(v)] < 0) return std::nullopt;
  const Node& node = graph.node(uses.producer[static_cast<size_t>(v)]);
  if (!is_op(node, "DequantizeLinear")) return std::nullopt;
  std::vector<Tensor> inputs;
  for (const ValueId input : node.inputs) {
    if (input != k_absent && !graph.constant(input)) return std::nullopt;
    inputs.push_back(input == k_absent ? Tensor() : *graph.constant(input));
  }
  Result<std::vector<Tensor>> values = node.op->reference({graph, node}, inputs);
  if (!values) return std::nullopt;
  return (*values)[0];
}

}  // namespace

int64_t remove_quantization(Graph& graph) {
  const Uses uses(graph);
  int64_t count = 0;
  for (const Node& node : graph.nodes) {
    if (!is_op(node, "DequantizeLinear")) continue;
    const NodeId from = uses.producer[static_cast<size_t>(node.inputs[0])];
    if (from < 0 || !is_op(graph.node(from), "QuantizeLinear")) continue;
    replace_uses(graph, node.outputs[0], graph.node(from).inputs[0]);
    ++count;
  }
  return count;
}

int64_t make_float(Graph& graph, const std::set<std::string>& nodes) {
  const Uses uses(graph);
  int64_t count = 0;
  for (Node& node : graph.nodes) {
    if (node.name.empty() || !nodes.contains(node.name)) continue;
    for (size_t i = 1; i < node.inputs.size(); ++i) {
      std::optional<Tensor> value = dequantized(graph, uses, node.inputs[i]);
      if (!value) continue;
      const std::string wish = graph.value(node.inputs[i]).name + "_float";
      node.inputs[i] = graph.add_constant(wish, *std::move(value));
    }
    ++count;
  }
  return count;
}

}  // namespace octet
