#include "passes/match.h"

#include <cmath>
#include <limits>

namespace octet {

std::optional<std::vector<float>> per_channel_constant(const Graph& graph, ValueId v, size_t rank, int64_t channels) {
  const Tensor* tensor = constant_of(graph, v, DType::f32);
  if (!tensor || channels <= 0 || tensor->rank() > rank) return std::nullopt;
  if (tensor->size() == 1) return std::vector<float>(static_cast<size_t>(channels), tensor->at<float>(0));
  // Aligned from the right: axis 1 of `rank` dims is axis 1 - (rank - own rank) of the constant.
  const size_t missing = rank - tensor->rank();
  if (missing > 1 || tensor->size() != channels || tensor->dims()[1 - missing] != channels) return std::nullopt;
  const std::span<const float> all = tensor->as<float>();
  return std::vector<float>(all.begin(), all.end());
}

int64_t extent(const Value& value, size_t axis) {
  return value.shape && axis < value.shape->size() ? (*value.shape)[axis].value : -1;
}

bool has_pixels(const Value& value) { return value.shape && (value.shape->size() == 4 || value.shape->size() == 5); }

bool same_shape(const Value& a, const Value& b) {
  if (!a.shape || !b.shape || a.shape->size() != b.shape->size()) return false;
  for (size_t i = 0; i < a.shape->size(); ++i) {
    const Dim &x = (*a.shape)[i], &y = (*b.shape)[i];
    if (x.known() && y.known() && x.value != y.value) return false;
    if (x.known() != y.known() && (x.value == 1 || y.value == 1)) return false;
  }
  return true;
}

bool equal_shape(const Value& a, const Value& b) {
  if (!a.shape || !b.shape || a.shape->size() != b.shape->size()) return false;
  for (size_t i = 0; i < a.shape->size(); ++i) {
    const Dim &x = (*a.shape)[i], &y = (*b.shape)[i];
    const bool named = !x.known() && !x.symbol.empty();
    if (!(x == y) || !(x.known() || named)) return false;
  }
  return true;
}

bool is_smooth_activation(const Graph& graph, const Node& node) {
  return is_any(node, {"Celu", "Elu", "Gelu", "Mish", "Selu", "Softplus", "Softsign"}) &&
         graph.value(node.inputs[0]).dtype == DType::f32;
}

std::optional<ActivationCall> match_activation(const Graph& graph, const Node& node) {
  if (is_any(node, {"Relu", "Sigmoid", "HardSwish", "Silu", "Tanh"}))
    return ActivationCall{std::string(node.op->name), {}};
  if (is_op(node, "LeakyRelu")) return ActivationCall{"LeakyRelu", {float_attribute(node, "alpha", 0.01f)}};
  if (is_op(node, "HardSigmoid"))
    return ActivationCall{"HardSigmoid", {float_attribute(node, "alpha", 0.2f), float_attribute(node, "beta", 0.5f)}};
  if (!is_op(node, "Clip") || graph.value(node.inputs[0]).dtype != DType::f32) return std::nullopt;
  float lo = std::numeric_limits<float>::lowest(), hi = std::numeric_limits<float>::max();  // ONNX Clip's defaults
  if (input(node, 1) != k_absent) {
    const std::optional<float> bound = scalar_constant(graph, input(node, 1));
    if (!bound) return std::nullopt;
    lo = std::max(lo, *bound);
  }
  if (input(node, 2) != k_absent) {
    const std::optional<float> bound = scalar_constant(graph, input(node, 2));
    if (!bound) return std::nullopt;
    hi = std::min(hi, *bound);
  }
  return ActivationCall{"Clip", {lo, hi}};
}

void set_activation(Node& node, const std::optional<ActivationCall>& call) {
  if (!call) return;
  node.attributes["activation"] = call->name;
  if (!call->params.empty()) node.attributes["activation_params"] = call->params;
}

int residual_host(const Editor& editor, NodeId add, const std::function<bool(NodeId)>& may_host) {
  const Graph& graph = editor.graph();
  const Node& node = graph.node(add);
  int host = -1;
  NodeId latest = -1;
  for (size_t i = 0; i < 2; ++i) {
    const ValueId v = node.inputs[i], other = node.inputs[1 - i];
    const NodeId conv = editor.producer(v);
    if (conv <= latest || !is_op(graph.node(conv), "Conv") || !editor.single_use(v) || graph.constant(other)) continue;
    const Value& value = graph.value(v);
    if (value.dtype != DType::f32 || !has_pixels(value)) continue;
    if (!same_shape(value, graph.value(other)) || !same_shape(value, graph.value(node.outputs[0]))) continue;
    if (!may_host(conv)) continue;
    latest = conv;
    host = static_cast<int>(i);
  }
  return host;
}

}  // namespace octet
