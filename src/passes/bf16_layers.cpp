// Makes the products of a fused float graph those of bfloat16 numbers: what --precision bf16 runs. 2-D convolutions (if
// grouped, then of 16 and more channels a group on either side) and fully connected layers become Bf16Conv and
// Bf16Gemm; a value that only such layers read, as their input or residual, is kept in bfloat16. A depthwise layer
// whose output is such a value joins them with its own FP32 weights: it reads and writes half the bytes then. So does a
// MaxPool between such values: the largest of rounded numbers is the largest one rounded.

#include <algorithm>
#include <map>
#include <set>

#include "ir/op.h"
#include "passes/passes.h"
#include "tensor/half.h"

namespace octet {
namespace {

bool is_f32_constant(const Graph& graph, const Node& node, size_t i) {
  if (i >= node.inputs.size() || node.inputs[i] == k_absent) return true;
  const Tensor* constant = graph.constant(node.inputs[i]);
  return constant && constant->dtype() == DType::f32;
}

/// Narrow groups would leave most of a vector of channels idle.
bool is_wide(int64_t out_channels, int64_t in_channels_of_group, int64_t groups) {
  constexpr int64_t k_lanes = 16;
  return groups == 1 || (in_channels_of_group >= k_lanes && out_channels / groups >= k_lanes);
}

/// The op that it becomes; null = it stays as it is.
const OpDef* brain_op(const Graph& graph, const Node& node) {
  const bool is_conv = is_op(node, "Conv") || is_op(node, "FusedConv");
  if (!is_conv && !is_op(node, "FusedGemm")) return nullptr;
  if (graph.value(node.inputs[0]).dtype != DType::f32) return nullptr;
  if (!is_f32_constant(graph, node, 1) || !is_f32_constant(graph, node, 2)) return nullptr;
  const Tensor& w = *graph.constant(node.inputs[1]);
  const int64_t groups = int_attribute(node, "group", 1);
  const bool is_plain = !is_conv || (w.rank() == 4 && is_wide(w.dims()[0], w.dims()[1], groups));
  return is_plain ? find_op(is_conv ? "Bf16Conv" : "Bf16Gemm") : nullptr;
}

Tensor rounded(const Tensor& tensor) {
  std::vector<uint16_t> bits;
  for (const float v : tensor.as<float>()) bits.push_back(float_to_bfloat16(v));
  return Tensor::from<uint16_t>(DType::bf16, tensor.dims(), bits);
}

bool is_brain(const Node& node) { return is_op(node, "Bf16Conv") || is_op(node, "Bf16Gemm"); }

/// Layers that give numbers of their input, as bfloat16 if these are, because every reader takes them so.
using Carriers = std::set<NodeId>;

/// Whether every reader takes the value in bfloat16.
bool may_stay_short(const Graph& graph, const Uses& uses, const Carriers& carriers, ValueId v) {
  const std::vector<NodeId>& readers = uses.consumers[static_cast<size_t>(v)];
  if (uses.is_output[static_cast<size_t>(v)] || readers.empty()) return false;
  return std::all_of(readers.begin(), readers.end(),
                     [&](NodeId id) { return is_brain(graph.node(id)) || carriers.contains(id); });
}

/// A maximum without indices.
bool is_carrier_between(const Graph& graph, const Uses& uses, const Carriers& carriers, const Node& node) {
  if (!is_op(node, "MaxPool") || graph.value(node.inputs[0]).dtype != DType::f32) return false;
  if (node.outputs.size() > 1 && node.outputs[1] != k_absent) return false;
  return may_stay_short(graph, uses, carriers, node.outputs[0]);
}

/// Without a residual, and with no activation but a clamp; every reader takes its output in bfloat16.
bool is_depthwise_between(const Graph& graph, const Uses& uses, const Carriers& carriers, const Node& node) {
  if (!is_op(node, "Conv") && !is_op(node, "FusedConv")) return false;
  if (node.inputs.size() > 3 && node.inputs[3] != k_absent) return false;
  const std::string activation = string_attribute(node, "activation", "");
  if (!activation.empty() && activation != "Relu" && activation != "Clip") return false;
  if (!is_f32_constant(graph, node, 1) || !is_f32_constant(graph, node, 2)) return false;
  const DType x = graph.value(node.inputs[0]).dtype;
  if (x != DType::f32 && x != DType::bf16) return false;
  const Tensor& w = *graph.constant(node.inputs[1]);
  const int64_t groups = int_attribute(node, "group", 1);
  return w.rank() == 4 && groups > 1 && w.dims()[0] == groups && w.dims()[1] == 1 &&
         may_stay_short(graph, uses, carriers, node.outputs[0]);
}

}  // namespace

Result<Changed> bf16_layers(Graph& graph) {
  Changed changed;
  std::map<ValueId, ValueId> weights;  // by the f32 constant
  for (Node& node : graph.nodes) {
    const OpDef* const op = brain_op(graph, node);
    if (!op) continue;
    const auto [known, is_new] = weights.emplace(node.inputs[1], k_absent);
    if (is_new)
      known->second =
          graph.add_constant(graph.value(node.inputs[1]).name + "_bf16", rounded(*graph.constant(node.inputs[1])));
    node.inputs[1] = known->second;
    node.op = op;
    node.attributes["to"] = std::string("f32");
    ++changed.count;
  }
  const Uses uses(graph);
  Carriers carriers;
  for (auto id = static_cast<NodeId>(graph.nodes.size()) - 1; id >= 0; --id) {  // readers come first
    Node& node = graph.node(id);
    if (is_carrier_between(graph, uses, carriers, node)) carriers.insert(id);
    if (!is_depthwise_between(graph, uses, carriers, node)) continue;
    node.op = find_op("Bf16Conv");
    node.attributes["to"] = std::string("f32");
  }
  for (NodeId id = 0; id < static_cast<NodeId>(graph.nodes.size()); ++id) {
    Node& node = graph.node(id);
    if (is_brain(node) && may_stay_short(graph, uses, carriers, node.outputs[0]))
      node.attributes["to"] = std::string("bf16");
    else if (!carriers.contains(id) || graph.value(node.inputs[0]).dtype != DType::bf16)
      continue;
    graph.value(node.outputs[0]).dtype = DType::bf16;
  }
  if (Result<Done> ok = infer_shapes(graph); !ok) return ok.error();
  if (Result<Done> ok = verify(graph); !ok) return ok.error();
  return changed;
}

}  // namespace octet
