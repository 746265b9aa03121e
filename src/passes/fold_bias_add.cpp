// src/passes/fold_bias_add.cpp: the Add of a constant for each channel behind a Conv of dequantized data and weight is
// its bias, so that the integer convolution takes it in. (Behind a Conv of float weights fold_scale_shift did it.) Not
// where another Add follows: with a residual in it the convolution would round the bias (fuse_quant_conv.cpp).

#include "passes/match.h"
#include "passes/passes.h"

namespace octet {
namespace {

/// The Conv's bias with `more` added in double, rounded once; nothing when it has one that is not constant f32.
std::optional<Tensor> bias_with(const Graph& graph, const Node& conv, std::vector<float> more) {
  if (input(conv, 2) != k_absent) {
    const Tensor* own = constant_of(graph, conv.inputs[2], DType::f32);
    if (!own || own->rank() != 1 || own->size() != static_cast<int64_t>(more.size())) return std::nullopt;
    for (size_t c = 0; c < more.size(); ++c)
      more[c] = static_cast<float>(double{own->at<float>(static_cast<int64_t>(c))} + double{more[c]});
  }
  return f32_tensor({static_cast<int64_t>(more.size())}, more);
}

/// The Conv behind operand i of the Add with the Add's constant in its bias.
std::optional<Node> with_bias(Editor& editor, const Node& add, size_t i) {
  const Graph& graph = editor.graph();
  const ValueId product = add.inputs[i];
  const Node* conv = editor.producer(product, "Conv");
  const Value& value = graph.value(product);
  if (!conv || !editor.single_use(product) || !has_pixels(value) || !same_shape(value, graph.value(add.outputs[0])) ||
      !editor.producer(conv->inputs[0], "DequantizeLinear") || !editor.producer(conv->inputs[1], "DequantizeLinear"))
    return std::nullopt;
  const auto more = per_channel_constant(graph, add.inputs[1 - i], value.shape->size(), extent(value, 1));
  std::optional<Tensor> bias = more ? bias_with(graph, *conv, *more) : std::nullopt;
  if (!bias) return std::nullopt;
  Node folded = *conv;
  folded.inputs.resize(3, k_absent);
  folded.inputs[2] = editor.add_constant(graph.value(add.inputs[1 - i]).name + "_bias", *std::move(bias));
  folded.outputs = {add.outputs[0]};
  return folded;
}

}  // namespace

Result<Changed> fold_bias_add(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (!is_op(editor.node(id), "Add")) continue;
    const Node add = editor.node(id);
    const NodeId reader = editor.only_reader(add.outputs[0]);
    if (reader >= 0 && is_op(editor.node(reader), "Add")) continue;
    for (size_t i = 0; i < 2; ++i) {
      const NodeId host = editor.producer(add.inputs[i]);
      std::optional<Node> folded = with_bias(editor, add, i);
      if (!folded) continue;
      editor.remove(id);
      editor.replace(host, std::move(*folded));
      ++changed.count;
      break;
    }
  }
  return changed;
}

}  // namespace octet
