// src/passes/fuse_quant_lookup.cpp: DequantizeLinear -> activation -> QuantizeLinear becomes QuantLookup, a table of
// 256 answers; DequantizeLinear -> QuantizeLinear with other parameters a table that requantizes, with equal ones
// nothing (rne((c * s) / s) = c for every code).

#include "passes/epilogue.h"
#include "passes/lookup_table.h"
#include "passes/passes.h"

namespace octet {
namespace {

/// Codes `from` that reach the input of a QuantizeLinear, through one activation or directly.
struct Source {
  Codes from;
  std::optional<ActivationCall> activation;  // or a smooth one, whose node says all
  NodeId activation_node = -1;
};

std::optional<Source> source_of(const Editor& editor, ValueId v) {
  const Graph& graph = editor.graph();
  if (const std::optional<Codes> codes = codes_behind(editor, v)) return Source{*codes, {}, -1};
  const NodeId id = editor.producer(v);
  if (id < 0 || !editor.single_use(v)) return std::nullopt;
  const Node& node = editor.node(id);
  const std::optional<ActivationCall> call = match_activation(graph, node);
  const std::optional<Codes> codes =
      call || is_smooth_activation(graph, node) ? codes_behind(editor, node.inputs[0]) : std::nullopt;
  if (!codes) return std::nullopt;
  return Source{*codes, call, id};
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
    const bool is_activated = source->activation_node >= 0;
    if (!is_activated && source->from.params == *to) {
      if (!editor.replace_uses(quantize.outputs[0], source->from.value)) continue;
      editor.remove(id);
      ++changed.count;
      continue;
    }
    Result<Tensor> table =
        is_activated && !source->activation
            ? lookup_table(source->from.params, NodeContext{graph, editor.node(source->activation_node)}, *to)
            : lookup_table(source->from.params, source->activation, *to);
    if (!table) return table.error();
    const std::string name = is_activated ? editor.node(source->activation_node).name : quantize.name;
    const ValueId entries = editor.add_constant(graph.value(quantize.outputs[0]).name + "_table", std::move(*table));
    if (is_activated) editor.remove(source->activation_node);
    editor.replace(id, make_node("QuantLookup", name, {source->from.value, entries}, quantize.outputs));
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
