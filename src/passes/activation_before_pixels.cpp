// src/passes/activation_before_pixels.cpp: an activation behind a DepthToSpace (and a Slice) whose elements come from a
// Conv moves in front of it, where it becomes part of the Conv: it is a function of each element, so order does not
// matter. Values in between must have one reader.

#include "passes/match.h"
#include "passes/passes.h"

namespace octet {
namespace {

/// The DepthToSpace whose elements v has, moved or left out but nothing else, when a Conv makes them; -1 = none.
NodeId pixels_behind_conv(const Editor& editor, ValueId v) {
  while (true) {
    const NodeId mover = editor.producer(v);
    if (mover < 0 || !editor.single_use(v) || !is_any(editor.node(mover), {"DepthToSpace", "Slice"})) return -1;
    v = editor.node(mover).inputs[0];
    if (is_op(editor.node(mover), "DepthToSpace"))
      return editor.producer(v, "Conv") && editor.single_use(v) ? mover : -1;
  }
}

}  // namespace

Result<Changed> activation_before_pixels(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    const Node activation = editor.node(id);
    if (activation.inputs.empty() || activation.inputs[0] == k_absent || !match_activation(graph, activation)) continue;
    const NodeId to_space = pixels_behind_conv(editor, activation.inputs[0]);
    const NodeId last = editor.producer(activation.inputs[0]);
    if (to_space < 0 || to_space >= editor.node_count() || last >= editor.node_count()) continue;
    const ValueId x = editor.node(to_space).inputs[0];
    const ValueId moved = editor.add_value(graph.value(activation.outputs[0]).name + "_deep", x);
    Node before = activation, end = editor.node(last);
    before.inputs[0] = x;
    before.outputs = {moved};
    end.outputs = activation.outputs;
    editor.remove(id);
    editor.replace(last, std::move(end));
    editor.set_input(to_space, 0, moved);
    editor.insert_before(to_space, std::move(before));
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
