// src/repair/residual_identity.cpp: a residual Add runs in integers when its identity branch is quantized. Where that
// branch is float although the same value is quantized for another reader, the Add reads the dequantized value too.

#include <algorithm>

#include "repair/parameters.h"
#include "repair/repair.h"

namespace octet {
namespace {

/// A Conv of quantized data and weight whose result only the Add reads.
bool is_integer_conv(const Editor& editor, ValueId v) {
  const Node* conv = editor.producer(v, "Conv");
  return conv && editor.single_use(v) && editor.producer(conv->inputs[0], "DequantizeLinear") &&
         editor.producer(conv->inputs[1], "DequantizeLinear");
}

/// The Add's result is quantized, perhaps behind an activation.
bool ends_in_codes(const Editor& editor, const Node& add) {
  NodeId reader = editor.only_reader(add.outputs[0]);
  if (reader >= 0 && is_any(editor.node(reader), {"Relu", "Clip"}))
    reader = editor.only_reader(editor.node(reader).outputs[0]);
  return reader >= 0 && is_quantize(editor.node(reader));
}

/// A DequantizeLinear of v's codes with the parameters of its QuantizeLinear, or -1.
NodeId pair_of(const Editor& editor, ValueId v) {
  const Graph& graph = editor.graph();
  for (const NodeId quantize : editor.readers(v)) {
    if (!is_quantize(editor.node(quantize))) continue;
    const std::optional<CodeParams> params = code_params(graph, editor.node(quantize));
    if (!params) continue;
    for (const NodeId dequantize : editor.readers(editor.node(quantize).outputs[0]))
      if (is_dequantize(editor.node(dequantize)) && code_params(graph, editor.node(dequantize)) == params)
        return dequantize;
  }
  return -1;
}

}  // namespace

Result<Done> residual_identity(Graph& graph, RepairLog& log) {
  bool edited = false;
  {
    Editor editor(graph);
    for (NodeId id = 0; id < editor.node_count(); ++id) {
      const Node add = editor.node(id);
      if (!is_op(add, "Add") || !ends_in_codes(editor, add)) continue;
      for (size_t i = 0; i < 2; ++i) {
        if (!is_integer_conv(editor, add.inputs[1 - i])) continue;
        const ValueId identity = add.inputs[i];
        if (graph.constant(identity) || editor.producer(identity, "DequantizeLinear") ||
            is_integer_conv(editor, identity))
          continue;
        const NodeId dequantize = pair_of(editor, identity);
        if (dequantize < 0) continue;
        const CodeParams params = *code_params(graph, editor.node(dequantize));
        log.add(label(graph, add), "float identity branch '" + graph.value(identity).name + "'",
                "its codes, " + params_text(params),
                "the branch is rounded, by up to half a step = " + short_text(params.scale / 2));
        editor.set_input(id, i, editor.node(dequantize).outputs[0]);
        edited = true;
        break;
      }
    }
  }
  return edited ? sort_nodes(graph) : Result<Done>(Done{});
}

}  // namespace octet
