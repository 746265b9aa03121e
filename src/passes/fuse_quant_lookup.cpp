// src/passes/fuse_quant_lookup.cpp: DequantizeLinear -> element-wise nodes -> QuantizeLinear becomes QuantLookup, a
// table of 256 answers: one activation, or a run of functions and of arithmetic with scalar constants (the pieces of a
// GELU that a quantizer took apart); DequantizeLinear -> QuantizeLinear with other parameters a table that requantizes,
// with equal ones nothing (rne((c * s) / s) = c for every code).

#include <algorithm>

#include "passes/element_chain.h"
#include "passes/epilogue.h"
#include "passes/lookup_table.h"
#include "passes/passes.h"

namespace octet {
namespace {

/// Codes `from` that reach the input of a QuantizeLinear, through nodes in running order or directly.
struct Source {
  Codes from;
  std::vector<NodeId> chain;
};

/// One f32 gives one f32, whatever stands beside it in the tensor.
bool may_stand_in_a_table(const Editor& editor, const Node& node) {
  const Graph& graph = editor.graph();
  if (node.outputs.size() != 1 || is_any(node, {"QuantizeLinear", "DequantizeLinear"})) return false;
  const std::optional<size_t> data = element_input(graph, node);
  return data && has_scalar_constants(graph, node) && graph.value(node.inputs[*data]).dtype == DType::f32 &&
         graph.value(node.outputs[0]).dtype == DType::f32;
}

std::optional<Source> source_of(const Editor& editor, ValueId v) {
  Source source;
  while (true) {
    if (const std::optional<Codes> codes = codes_behind(editor, v)) {
      source.from = *codes;
      std::reverse(source.chain.begin(), source.chain.end());
      return source;
    }
    const NodeId id = editor.producer(v);
    if (id < 0 || !editor.single_use(v)) return std::nullopt;
    const Node& node = editor.node(id);
    const bool table = source.chain.empty() && has_table(editor.graph(), node);
    if (!table && !may_stand_in_a_table(editor, node)) return std::nullopt;
    source.chain.push_back(id);
    v = node.inputs[element_input(editor.graph(), node).value_or(0)];
  }
}

/// The chain's answers. One activation is octet's own function, as in the epilogue of a layer.
Result<Tensor> table_of(const Editor& editor, const Source& source, const CodeParams& to) {
  const Graph& graph = editor.graph();
  if (source.chain.empty()) return lookup_table(source.from.params, std::nullopt, to);
  std::vector<Node> chain;
  for (const NodeId id : source.chain) chain.push_back(editor.node(id));
  const std::optional<ActivationCall> call =
      chain.size() == 1 ? match_activation(graph, chain.front()) : std::optional<ActivationCall>();
  return call ? lookup_table(source.from.params, call, to) : lookup_table(source.from.params, graph, chain, to);
}

}  // namespace

Result<Changed> fuse_quant_lookup(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (!is_op(editor.node(id), "QuantizeLinear")) continue;
    const Node quantize = editor.node(id);
    const std::optional<CodeParams> to = code_params(graph, quantize);
    const std::optional<Source> source = to ? source_of(editor, quantize.inputs[0]) : std::nullopt;
    if (!source || graph.constant(source->from.value)) continue;
    if (source->chain.empty() && source->from.params == *to) {
      if (!editor.replace_uses(quantize.outputs[0], source->from.value)) continue;
      editor.remove(id);
      ++changed.count;
      continue;
    }
    Result<Tensor> table = table_of(editor, *source, *to);
    if (!table) return table.error();
    const std::string name = source->chain.empty() ? quantize.name : editor.node(source->chain.back()).name;
    const ValueId entries = editor.add_constant(graph.value(quantize.outputs[0]).name + "_table", std::move(*table));
    for (auto inner = source->chain.rbegin(); inner != source->chain.rend(); ++inner) editor.remove(*inner);
    editor.replace(id, make_node("QuantLookup", name, {source->from.value, entries}, quantize.outputs));
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
