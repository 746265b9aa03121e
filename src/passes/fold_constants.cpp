// src/passes/fold_constants.cpp: evaluates nodes whose inputs are all constants with the op's own reference kernel.
// DequantizeLinear stays: a weight behind it is stored as codes, and quantization lives in the graph. A result larger
// than 64 MiB is left to run time unless its inputs were larger still.

#include <algorithm>

#include "passes/match.h"
#include "passes/passes.h"

namespace octet {
namespace {

constexpr size_t k_max_folded_bytes = size_t{64} << 20;

bool inputs_are_constant(const Graph& graph, const Node& node) {
  return std::all_of(node.inputs.begin(), node.inputs.end(),
                     [&](ValueId v) { return v == k_absent || graph.constant(v) != nullptr; });
}

/// All outputs have known shapes and are small enough to store.
bool results_fit(const Graph& graph, const Node& node) {
  size_t in_bytes = 0, out_bytes = 0;
  for (const ValueId v : node.inputs)
    if (v != k_absent) in_bytes += graph.constant(v)->size_bytes();
  for (const ValueId v : node.outputs) {
    if (v == k_absent) continue;
    const Value& value = graph.value(v);
    const std::optional<Dims> dims = value.shape ? known_dims(*value.shape) : std::nullopt;
    const std::optional<int64_t> count = dims ? element_count(*dims) : std::nullopt;
    if (!count) return false;
    out_bytes += static_cast<size_t>(*count) * size_of(value.dtype);
  }
  return out_bytes <= std::max(k_max_folded_bytes, in_bytes);
}

bool makes_graph_output(const Editor& editor, const Node& node) {
  return std::any_of(node.outputs.begin(), node.outputs.end(),
                     [&](ValueId v) { return v != k_absent && editor.is_output(v); });
}

}  // namespace

Result<Changed> fold_constants(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    const Node& node = editor.node(id);
    if (is_op(node, "DequantizeLinear") || !node.op->reference || makes_graph_output(editor, node)) continue;
    if (!inputs_are_constant(graph, node) || !results_fit(graph, node)) continue;
    std::vector<Tensor> inputs;
    for (const ValueId v : node.inputs) inputs.push_back(v == k_absent ? Tensor() : *graph.constant(v));
    Result<std::vector<Tensor>> results = node.op->reference(NodeContext{graph, node}, inputs);
    if (!results) return results.error();
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i] == k_absent) continue;
      Value& value = graph.value(node.outputs[i]);
      value.dtype = (*results)[i].dtype();
      value.shape = to_shape((*results)[i].dims());
      value.constant = std::move((*results)[i]);
    }
    editor.remove(id);
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
