#include "passes/channel_affine.h"

#include <cmath>

namespace octet {
namespace {

const Tensor* vector_of(const Graph& graph, ValueId v, int64_t size) {
  const Tensor* tensor = constant_of(graph, v, DType::f32);
  return tensor && tensor->rank() == 1 && tensor->size() == size ? tensor : nullptr;
}

/// Of a Conv or Gemm, whose weight has them first, or of a ConvTranspose: [inputs, outputs of a group, ...].
int64_t output_channels(const Node& node, const Tensor& w) {
  return is_op(node, "ConvTranspose") ? w.dims()[1] * int_attribute(node, "group", 1) : w.dims()[0];
}

/// The output channel of the weight's element i.
int64_t output_of(const Node& node, const Tensor& w, int64_t i) {
  if (!is_op(node, "ConvTranspose")) return i / (w.size() / w.dims()[0]);
  const int64_t per_group = w.dims()[0] / int_attribute(node, "group", 1), of_input = w.size() / w.dims()[0];
  const int64_t ic = i / of_input, c = i % of_input / (of_input / w.dims()[1]);
  return ic / per_group * w.dims()[1] + c;
}

}  // namespace

std::optional<ChannelAffine> batch_norm_affine(const Graph& graph, const Node& node) {
  if (int_attribute(node, "training_mode", 0) != 0 || node.inputs.size() < 5) return std::nullopt;
  for (size_t i = 1; i < node.outputs.size(); ++i)
    if (node.outputs[i] != k_absent) return std::nullopt;
  const Tensor* first = constant_of(graph, node.inputs[1], DType::f32);
  if (!first) return std::nullopt;
  const int64_t channels = first->size();
  const Tensor* gamma = vector_of(graph, node.inputs[1], channels);
  const Tensor* beta = vector_of(graph, node.inputs[2], channels);
  const Tensor* mean = vector_of(graph, node.inputs[3], channels);
  const Tensor* variance = vector_of(graph, node.inputs[4], channels);
  if (!gamma || !beta || !mean || !variance) return std::nullopt;
  const double epsilon = float_attribute(node, "epsilon", 1e-5f);
  ChannelAffine affine;
  for (int64_t c = 0; c < channels; ++c) {
    const double scale = double{gamma->at<float>(c)} / std::sqrt(double{variance->at<float>(c)} + epsilon);
    affine.scale.push_back(scale);
    affine.shift.push_back(double{beta->at<float>(c)} - double{mean->at<float>(c)} * scale);
  }
  return affine;
}

bool is_affine_host(const Graph& graph, const Node& node) {
  const bool conv = is_any(node, {"Conv", "ConvTranspose"});
  const bool gemm = is_op(node, "Gemm") && int_attribute(node, "transB", 0) != 0 &&
                    int_attribute(node, "transA", 0) == 0 && float_attribute(node, "alpha", 1.0f) == 1.0f &&
                    float_attribute(node, "beta", 1.0f) == 1.0f;
  const Tensor* w = constant_of(graph, input(node, 1), DType::f32);
  if ((!conv && !gemm) || !w || w->rank() < 2) return false;
  return input(node, 2) == k_absent || vector_of(graph, input(node, 2), output_channels(node, *w));
}

std::optional<Node> absorb_behind(Editor& editor, NodeId host, const ChannelAffine& affine) {
  const Graph& graph = editor.graph();
  if (!is_affine_host(graph, editor.node(host))) return std::nullopt;
  Node node = editor.node(host);
  const Tensor& w = *constant_of(graph, node.inputs[1], DType::f32);
  const int64_t channels = output_channels(node, w);
  if (channels != static_cast<int64_t>(affine.scale.size()) || w.size() == 0) return std::nullopt;
  const Tensor* b = constant_of(graph, input(node, 2), DType::f32);
  std::vector<float> weights(w.as<float>().begin(), w.as<float>().end());
  std::vector<float> bias(static_cast<size_t>(channels));
  for (size_t c = 0; c < bias.size(); ++c) {
    const double old_bias = b ? double{b->at<float>(static_cast<int64_t>(c))} : 0.0;
    bias[c] = static_cast<float>(old_bias * affine.scale[c] + affine.shift[c]);
  }
  for (size_t i = 0; i < weights.size(); ++i) {
    const auto c = static_cast<size_t>(output_of(node, w, static_cast<int64_t>(i)));
    weights[i] = static_cast<float>(double{weights[i]} * affine.scale[c]);
  }
  const Dims dims = w.dims();
  const std::string w_name = graph.value(node.inputs[1]).name;
  const std::string b_name = b ? graph.value(node.inputs[2]).name : w_name + "_bias";
  node.inputs.resize(3, k_absent);
  node.inputs[1] = editor.add_constant(w_name + "_folded", f32_tensor(dims, weights));
  node.inputs[2] = editor.add_constant(b ? b_name + "_folded" : b_name, f32_tensor({channels}, bias));
  return node;
}

}  // namespace octet
