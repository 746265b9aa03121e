// src/passes/fold_batch_norm.cpp: folds BatchNormalization into the Conv, ConvTranspose or Gemm before it.
//   w' = w * gamma / sqrt(var + eps)      b' = (b - mean) * gamma / sqrt(var + eps) + beta      in double, rounded once
// Needs: constant weights, a product that nobody else reads. Promises: no BatchNormalization follows such a node.
// Runs before calibration, because amax belongs to the folded weight. Source: arXiv:1712.05877, section 3.2.

#include "passes/channel_affine.h"
#include "passes/passes.h"

namespace octet {

Result<Changed> fold_batch_norm(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (!is_op(editor.node(id), "BatchNormalization")) continue;
    const Node batch_norm = editor.node(id);
    const ValueId product = batch_norm.inputs[0];
    const NodeId host = editor.producer(product);
    if (host < 0 || !editor.single_use(product)) continue;
    const std::optional<ChannelAffine> affine = batch_norm_affine(graph, batch_norm);
    std::optional<Node> folded = affine ? absorb_behind(editor, host, *affine) : std::nullopt;
    if (!folded) continue;
    folded->outputs = {batch_norm.outputs[0]};
    editor.remove(id);
    editor.replace(host, std::move(*folded));
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
