// src/passes/batch_norm_to_conv.cpp: a BatchNormalization of [N, C, H, W] or [N, C, D, H, W] that no Conv before it can
// absorb (pre-activation networks: DenseNet, ResNet v2) becomes a depthwise 1x1 Conv, w[c] = gamma / sqrt(var + eps),
// b[c] = beta - mean * w[c]. So it fuses its activation and quantizes as every other Conv does.

#include "passes/channel_affine.h"
#include "passes/passes.h"

namespace octet {
namespace {

/// fold_batch_norm takes it in the next round.
bool will_be_folded(const Editor& editor, ValueId x) {
  const NodeId host = editor.producer(x);
  return host >= 0 && editor.single_use(x) && is_affine_host(editor.graph(), editor.node(host));
}

}  // namespace

Result<Changed> batch_norm_to_conv(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (!is_op(editor.node(id), "BatchNormalization")) continue;
    const Node node = editor.node(id);
    const Value& x = graph.value(node.inputs[0]);
    if (x.dtype != DType::f32 || !has_pixels(x) || will_be_folded(editor, node.inputs[0])) continue;
    const std::optional<ChannelAffine> affine = batch_norm_affine(graph, node);
    if (!affine || affine->scale.empty()) continue;
    const std::vector<float> scale(affine->scale.begin(), affine->scale.end());
    const std::vector<float> shift(affine->shift.begin(), affine->shift.end());
    const auto channels = static_cast<int64_t>(scale.size());
    const std::string base = label(graph, node);
    const std::vector<int64_t> kernel(x.shape->size() - 2, 1);
    Dims dims = {channels, 1};
    dims.insert(dims.end(), kernel.begin(), kernel.end());
    const ValueId w = editor.add_constant(base + "_scale", f32_tensor(dims, scale));
    const ValueId b = editor.add_constant(base + "_shift", f32_tensor({channels}, shift));
    editor.replace(id, make_node("Conv", node.name, {node.inputs[0], w, b}, {node.outputs[0]},
                                 {{"group", channels}, {"kernel_shape", kernel}}));
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
