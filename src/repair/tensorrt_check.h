#pragma once
// What the rule files share.

#include <string>

#include "repair/parameters.h"
#include "repair/tensorrt.h"

namespace octet {

struct TensorRtCheck {
  const Graph& graph;
  const TensorRtFile& file;
  Uses uses;
  std::vector<RuleFinding> findings;

  TensorRtCheck(const Graph& g, const TensorRtFile& f) : graph(g), file(f), uses(g) {}
  const Node* producer(ValueId v) const {
    const NodeId id = v == k_absent ? -1 : uses.producer[static_cast<size_t>(v)];
    return id < 0 ? nullptr : &graph.node(id);
  }
  const Node* producer(ValueId v, std::string_view op) const {
    const Node* node = producer(v);
    return node && is_op(*node, op) ? node : nullptr;
  }
  const std::vector<NodeId>& readers(ValueId v) const { return uses.consumers[static_cast<size_t>(v)]; }
  /// The one node that reads v, else null.
  const Node* only_reader(ValueId v) const { return uses.single_use(v) ? &graph.node(readers(v)[0]) : nullptr; }
  const Tensor* constant(ValueId v) const { return v == k_absent ? nullptr : graph.constant(v); }
  /// v is a constant, or codes of one: DequantizeLinear or QuantizeLinear above it do not count.
  bool derives_from_constant(ValueId v) const;
  void error(int rule, const Node& node, std::string message, std::string mend) {
    findings.push_back({rule, Severity::error, label(graph, node), std::move(message), std::move(mend)});
  }
  void warning(int rule, const Node& node, std::string message, std::string mend) {
    findings.push_back({rule, Severity::warning, label(graph, node), std::move(message), std::move(mend)});
  }
  void note(int rule, std::string node, std::string message) {
    findings.push_back({rule, Severity::note, std::move(node), std::move(message), {}});
  }
};

/// R1 to R13, R17, R24, R25, R37: one QuantizeLinear or DequantizeLinear.
void check_parameters(TensorRtCheck& check, const Node& node);
/// R14 to R16, R18 to R20, R26, R36, R38: layers, their weights and biases.
void check_layer(TensorRtCheck& check, const Node& node);
void check_constants(TensorRtCheck& check);
/// R21, R22, R27 to R29, R33 to R35, R41: what stands where.
void check_placement(TensorRtCheck& check, const Node& node);
/// R23, R30, R31, R39, R42.
void check_network(TensorRtCheck& check);

}  // namespace octet
