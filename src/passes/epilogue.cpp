#include "passes/epilogue.h"

namespace octet {
namespace {

bool constant_weight(const Graph& graph, const Node& conv) { return graph.constant(input(conv, 1)) != nullptr; }

/// The residual operand of the Add `add` that reads `v`, if the layer may carry this Add.
bool take_residual(const Editor& editor, NodeId add, ValueId v, Residual kind, Epilogue& epilogue) {
  const Graph& graph = editor.graph();
  const Node& node = editor.node(add);
  const size_t mine = node.inputs[0] == v ? 0 : 1;
  const ValueId other = node.inputs[1 - mine];
  if (kind == Residual::floats) {
    const auto may_host = [&](NodeId conv) { return constant_weight(graph, editor.node(conv)); };
    if (residual_host(editor, add, may_host) != static_cast<int>(mine)) return false;
    epilogue.residual = other;
    return true;
  }
  const std::optional<Codes> codes = codes_behind(editor, other);
  if (!codes || graph.constant(codes->value) || !same_shape(graph.value(v), graph.value(other))) return false;
  if (!same_shape(graph.value(v), graph.value(node.outputs[0]))) return false;
  epilogue.residual = codes->value;
  epilogue.residual_params = codes->params;
  return true;
}

void advance(Epilogue& epilogue, NodeId to) {
  epilogue.swallowed.push_back(epilogue.last);
  epilogue.last = to;
}

}  // namespace

Epilogue match_epilogue(const Editor& editor, NodeId layer, Residual residual, Activations activations, bool quantize) {
  const Graph& graph = editor.graph();
  Epilogue epilogue;
  epilogue.last = layer;
  const auto result = [&] { return editor.node(epilogue.last).outputs[0]; };
  const auto reader = [&] { return editor.only_reader(result()); };
  if (const NodeId add = reader(); residual != Residual::none && add >= 0 && is_op(editor.node(add), "Add"))
    if (take_residual(editor, add, result(), residual, epilogue)) advance(epilogue, add);
  const auto may_take = [&](const Node& next) {
    return activations == Activations::all || (activations == Activations::clamps && is_clamp(next));
  };
  if (const NodeId next = reader();
      next >= 0 && may_take(editor.node(next)) && editor.node(next).inputs[0] == result()) {
    epilogue.activation = match_activation(graph, editor.node(next));
    if (epilogue.activation) advance(epilogue, next);
  }
  if (const NodeId next = reader(); quantize && next >= 0 && is_op(editor.node(next), "QuantizeLinear")) {
    epilogue.quantize = code_params(graph, editor.node(next));
    if (epilogue.quantize) advance(epilogue, next);
  }
  return epilogue;
}

void write_fused(Editor& editor, const Epilogue& epilogue, Node fused) {
  fused.outputs = {editor.node(epilogue.last).outputs[0]};
  for (const NodeId id : epilogue.swallowed) editor.remove(id);
  editor.replace(epilogue.last, std::move(fused));
}

bool is_clamp(const Node& node) { return is_any(node, {"Relu", "Clip"}); }

void set_params(Node& node, const std::string& prefix, const CodeParams& params) {
  node.attributes[prefix + "_scale"] = params.scale;
  node.attributes[prefix + "_zero_point"] = int64_t{params.zero_point};
}

void set_result(Node& node, const Epilogue& epilogue) {
  const CodeParams none{1.0f, 0, DType::f32};
  const CodeParams& params = epilogue.quantize ? *epilogue.quantize : none;
  set_params(node, "y", params);
  node.attributes["to"] = std::string(name(params.dtype));
}

std::optional<Codes> codes_behind(const Editor& editor, ValueId dequantized) {
  const Node* node = editor.producer(dequantized, "DequantizeLinear");
  if (!node || editor.graph().value(dequantized).dtype != DType::f32) return std::nullopt;
  const std::optional<CodeParams> params = code_params(editor.graph(), *node);
  if (!params) return std::nullopt;
  return Codes{node->inputs[0], *params};
}

}  // namespace octet
