#include "passes/element_chain.h"

#include <algorithm>

namespace octet {
namespace {

bool is_unary(const Node& node) {
  return is_any(node, {"Abs",        "Cast",      "Ceil",     "Celu", "Clip",      "Elu",
                       "Erf",        "Exp",       "Floor",    "Gelu", "HardSwish", "HardSigmoid",
                       "Identity",   "LeakyRelu", "Log",      "Mish", "Neg",       "Not",
                       "Reciprocal", "Relu",      "Round",    "Selu", "Sigmoid",   "Sign",
                       "Silu",       "Softplus",  "Softsign", "Sqrt", "Tanh",      "ThresholdedRelu"}) ||
         is_any(node,
                {"Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh", "Shrink"});
}

bool others_are_constant(const Graph& graph, const Node& node, size_t data) {
  for (size_t i = 0; i < node.inputs.size(); ++i)
    if (i != data && node.inputs[i] != k_absent && !graph.constant(node.inputs[i])) return false;
  return true;
}

}  // namespace

std::optional<size_t> element_input(const Graph& graph, const Node& node) {
  if (is_unary(node) || (is_any(node, {"QuantizeLinear", "DequantizeLinear"}) && !has_attribute(node, "block_size")))
    return others_are_constant(graph, node, 0) ? std::optional<size_t>(0) : std::nullopt;
  if (!is_any(node, {"Add", "Sub", "Mul", "Div", "Pow", "Min", "Max"}) || node.inputs.size() != 2) return std::nullopt;
  const size_t data = graph.constant(node.inputs[0]) ? 1 : 0;
  return others_are_constant(graph, node, data) ? std::optional(data) : std::nullopt;
}

std::optional<ElementChain> chain_up(const Editor& editor, ValueId v, std::initializer_list<std::string_view> ops,
                                     const std::function<bool(const Node&)>& may_pass) {
  ElementChain chain;
  while (editor.single_use(v)) {
    const NodeId id = editor.producer(v);
    if (id < 0) return std::nullopt;
    const Node& node = editor.node(id);
    if (is_any(node, ops)) {
      chain.above = id;
      std::reverse(chain.nodes.begin(), chain.nodes.end());
      return chain;
    }
    const std::optional<size_t> data = element_input(editor.graph(), node);
    if (!data || editor.graph().constant(node.inputs[*data]) || !may_pass(node)) return std::nullopt;
    chain.nodes.push_back(id);
    v = node.inputs[*data];
  }
  return std::nullopt;
}

bool has_scalar_constants(const Graph& graph, const Node& node) {
  return std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId v) {
    const Tensor* tensor = v == k_absent ? nullptr : graph.constant(v);
    return !tensor || (tensor->size() == 1 && tensor->rank() <= 1);
  });
}

}  // namespace octet
