// src/repair/back_to_back.cpp: a DequantizeLinear followed by a QuantizeLinear with the same parameters gives the codes
// back and both go; two equal QuantizeLinear (or DequantizeLinear) nodes on one value become one. Pairs with different
// parameters round twice, as written.

#include "repair/parameters.h"
#include "repair/repair.h"

namespace octet {
namespace {

bool same_constant(const Graph& graph, ValueId a, ValueId b) {
  if (a == b) return true;
  const Tensor* x = a == k_absent ? nullptr : graph.constant(a);
  const Tensor* y = b == k_absent ? nullptr : graph.constant(b);
  return x && y && *x == *y;
}

bool same_parameters(const Graph& graph, const Node& a, const Node& b) {
  return same_constant(graph, input(a, 1), input(b, 1)) && same_constant(graph, input(a, 2), input(b, 2)) &&
         a.attributes == b.attributes;
}

void merge_twins(Editor& editor, NodeId id, RepairLog& log) {
  Graph& graph = editor.graph();
  const Node node = editor.node(id);
  if (graph.constant(node.inputs[0])) return;
  const std::vector<NodeId> readers = editor.readers(node.inputs[0]);
  for (const NodeId other : readers) {
    if (other <= id || editor.gone(other) || editor.node(other).op != node.op) continue;
    const Node twin = editor.node(other);
    if (twin.inputs[0] != node.inputs[0] || !same_parameters(graph, node, twin)) continue;
    const std::string place = label(graph, twin), first = label(graph, node);
    if (!editor.replace_uses(twin.outputs[0], node.outputs[0])) continue;
    log.add(place, "the same " + std::string(node.op->name) + " as " + first, "one for both");
    editor.remove(other);
  }
}

void cancel(Editor& editor, NodeId quantize, RepairLog& log) {
  Graph& graph = editor.graph();
  const Node node = editor.node(quantize);
  const Node* dequantize = editor.producer(node.inputs[0], "DequantizeLinear");
  if (!dequantize || graph.constant(dequantize->inputs[0])) return;
  const std::optional<CodeParams> params = code_params(graph, node);
  if (!params || code_params(graph, *dequantize) != params) return;
  const std::string before = "DequantizeLinear, QuantizeLinear, both " + params_text(*params);
  const std::string place = label(graph, node);
  if (!editor.replace_uses(node.outputs[0], dequantize->inputs[0])) return;
  log.add(place, before, "removed");
  editor.remove(quantize);
}

}  // namespace

Result<Done> back_to_back(Graph& graph, RepairLog& log) {
  Editor editor(graph);
  for (NodeId id = 0; id < editor.node_count(); ++id)
    if (!editor.gone(id) && is_quantize(editor.node(id))) cancel(editor, id, log);
  for (NodeId id = 0; id < editor.node_count(); ++id)
    if (!editor.gone(id) && is_q_or_dq(editor.node(id))) merge_twins(editor, id, log);
  return Done{};
}

}  // namespace octet
