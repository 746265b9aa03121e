#include "backends/cuda/constants.h"

#include "ir/op.h"

namespace octet::cuda {
namespace {

const Node* dequantize_of_constants(const Graph& graph, ValueId value) {
  for (const Node& node : graph.nodes) {
    if (node.outputs.empty() || node.outputs[0] != value) continue;
    if (!is_op(node, "DequantizeLinear")) return nullptr;
    for (const ValueId v : node.inputs) {
      if (v != k_absent && !graph.constant(v)) return nullptr;
    }
    return &node;
  }
  return nullptr;
}

}  // namespace

bool is_constant(const Graph& graph, ValueId value) {
  return value != k_absent && (graph.constant(value) || dequantize_of_constants(graph, value));
}

std::optional<Tensor> constant_of(const Graph& graph, ValueId value) {
  if (value == k_absent) return std::nullopt;
  if (const Tensor* constant = graph.constant(value)) return *constant;
  const Node* node = dequantize_of_constants(graph, value);
  if (!node) return std::nullopt;
  std::vector<Tensor> inputs;
  for (const ValueId v : node->inputs) inputs.push_back(v == k_absent ? Tensor() : *graph.constant(v));
  Result<std::vector<Tensor>> made = node->op->reference({graph, *node}, inputs);
  if (!made) return std::nullopt;
  return std::move((*made)[0]);
}

std::optional<std::vector<int64_t>> constant_ints(const Graph& graph, ValueId value) {
  const std::optional<Tensor> tensor = constant_of(graph, value);
  if (!tensor) return std::nullopt;
  Result<std::vector<int64_t>> ints = to_int64s(*tensor);
  if (!ints) return std::nullopt;
  return *std::move(ints);
}

std::vector<float> constant_floats(const Graph& graph, ValueId value) {
  const std::optional<Tensor> tensor = constant_of(graph, value);
  if (!tensor || tensor->dtype() != DType::f32) return {};
  const std::span<const float> all = tensor->as<float>();
  return {all.begin(), all.end()};
}

}  // namespace octet::cuda
