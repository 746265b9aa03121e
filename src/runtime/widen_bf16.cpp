#include "runtime/widen_bf16.h"

#include <algorithm>
#include <map>

#include "ir/op.h"
#include "tensor/half.h"

namespace octet {
namespace {

bool is_bf16(const Node& node) { return is_op(node, "Bf16Conv") || is_op(node, "Bf16Gemm"); }

/// A way of the back end's own: the op's reference kernel is a judge, not a way to run a layer.
bool has_a_way(const Graph& graph, NodeId node, const Backend& backend) {
  if (backend.name() == "ref") return true;
  const std::vector<Tactic> tactics = backend.tactics(graph, node);
  return std::any_of(tactics.begin(), tactics.end(),
                     [](const Tactic& t) { return t.refused.empty() && !t.name.starts_with("reference"); });
}

Tensor widened(const Tensor& tensor) {
  std::vector<float> values;
  for (const uint16_t bits : tensor.as<uint16_t>()) values.push_back(bfloat16_to_float(bits));
  return f32_tensor(tensor.dims(), values);
}

}  // namespace

Result<Done> widen_bf16(Graph& graph, const Backend& backend, std::vector<std::string>& notes) {
  int count = 0;
  bool is_needed = false;
  for (NodeId id = 0; id < static_cast<NodeId>(graph.nodes.size()); ++id) {
    if (!is_bf16(graph.node(id))) continue;
    ++count;
    is_needed |= !has_a_way(graph, id, backend);
  }
  if (!is_needed) return Done{};
  std::map<ValueId, ValueId> weights;  // by the bfloat16 constant
  for (Node& node : graph.nodes) {
    // A maximum of what such layers made.
    if (is_op(node, "MaxPool") && graph.value(node.inputs[0]).dtype == DType::f32)
      graph.value(node.outputs[0]).dtype = DType::f32;
    if (!is_bf16(node)) continue;
    const Tensor* const w = graph.constant(node.inputs[1]);
    if (!w)
      return Error{ErrorCode::bad_model, "node '" + node.name + "' (" + std::string(node.op->name) +
                                             "): its weights '" + graph.value(node.inputs[1]).name +
                                             "' are no constant, and '" + backend.description() +
                                             "' has no way to run it; expected weights that the file holds"};
    if (w->dtype() == DType::bf16) {
      const auto [known, is_new] = weights.emplace(node.inputs[1], k_absent);
      if (is_new) known->second = graph.add_constant(graph.value(node.inputs[1]).name + "_f32", widened(*w));
      node.inputs[1] = known->second;
    }
    node.op = find_op(is_op(node, "Bf16Conv") ? "FusedConv" : "FusedGemm");
    node.attributes.erase("to");
    graph.value(node.outputs[0]).dtype = DType::f32;
  }
  if (Result<Done> ok = infer_shapes(graph); !ok) return ok;
  if (Result<Done> ok = verify(graph); !ok) return ok;
  notes.push_back("the plan's " + std::to_string(count) + " BF16 layers run as FP32: '" + backend.description() +
                  "' has no products of BF16, or none that are faster than FP32's");
  return Done{};
}

}  // namespace octet
