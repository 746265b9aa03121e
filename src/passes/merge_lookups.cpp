// src/passes/merge_lookups.cpp: a table behind a table is one table, and so is a sum or product of codes that are both
// functions of the same codes (x and a table of x, or two tables of it): a GELU that a quantizer took apart, x *
// table(x), reads each code once. The 256 answers are those of the ops' own reference kernels, so no code changes.

#include <algorithm>

#include "passes/match.h"
#include "passes/passes.h"

namespace octet {
namespace {

/// What a value is of the codes `of`: themselves, or a table of theirs.
struct Function {
  ValueId of = k_absent;
  NodeId lookup = -1;  // -1: the codes themselves
};

Function function_of(const Editor& editor, ValueId v) {
  const Node* const node = editor.producer(v, "QuantLookup");
  if (!node || !editor.graph().constant(node->inputs[1])) return {v, -1};
  return {node->inputs[0], editor.producer(v)};
}

/// All codes of the dtype in the order of a table's entries.
Tensor all_codes(DType dtype) {
  std::vector<uint8_t> bytes(256);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i);
  if (dtype == DType::u8) return Tensor::from<uint8_t>(DType::u8, {256}, bytes);
  const std::vector<int8_t> codes(bytes.begin(), bytes.end());
  return Tensor::from<int8_t>(DType::s8, {256}, codes);
}

Tensor table_of(const Editor& editor, const Function& function) {
  const Graph& graph = editor.graph();
  if (function.lookup < 0) return all_codes(graph.value(function.of).dtype);
  return *graph.constant(editor.node(function.lookup).inputs[1]);
}

/// The functions that the node's data inputs are of one value's codes; empty where it is none of this pass.
std::vector<Function> functions_of(const Editor& editor, const Node& node) {
  if (is_op(node, "QuantLookup")) {
    const Function x = function_of(editor, node.inputs[0]);
    const bool is_chain = x.lookup >= 0 && editor.graph().constant(node.inputs[1]);
    return is_chain ? std::vector<Function>{x} : std::vector<Function>{};
  }
  if (!is_any(node, {"QuantAdd", "QuantMul"}) || string_attribute(node, "to", "f32") == "f32") return {};
  const Function a = function_of(editor, node.inputs[0]), b = function_of(editor, node.inputs[1]);
  const Graph& graph = editor.graph();
  if (a.of != b.of || graph.constant(a.of) || (a.lookup < 0 && b.lookup < 0)) return {};
  return {a, b};
}

}  // namespace

Result<Changed> merge_lookups(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0, end = editor.node_count(); id < end; ++id) {
    if (editor.gone(id)) continue;
    const Node node = editor.node(id);
    const std::vector<Function> functions = functions_of(editor, node);
    if (functions.empty()) continue;
    std::vector<Tensor> inputs;
    for (const Function& f : functions) inputs.push_back(table_of(editor, f));
    if (functions.size() == 1) inputs.push_back(*graph.constant(node.inputs[1]));
    Result<std::vector<Tensor>> table = node.op->reference(NodeContext{graph, node}, inputs);
    if (!table) return table.error();
    const ValueId entries = editor.add_constant(graph.value(node.outputs[0]).name + "_table", std::move((*table)[0]));
    std::vector<NodeId> swallowed;
    for (const Function& f : functions)
      if (f.lookup >= 0 && editor.single_use(editor.node(f.lookup).outputs[0])) swallowed.push_back(f.lookup);
    editor.replace(id, make_node("QuantLookup", node.name, {functions.front().of, entries}, node.outputs));
    for (const NodeId lookup : swallowed) editor.remove(lookup);
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
