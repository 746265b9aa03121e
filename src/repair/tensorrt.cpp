#include "repair/tensorrt.h"

#include <algorithm>

#include "repair/tensorrt_check.h"

namespace octet {

std::string_view name(Severity severity) {
  switch (severity) {
    case Severity::error: return "error";
    case Severity::warning: return "warning";
    case Severity::note: return "note";
  }
  return "note";
}

std::string to_string(const RuleFinding& f) {
  return "R" + std::to_string(f.rule) + " " + std::string(name(f.severity)) +
         (f.node.empty() ? "" : ", node '" + f.node + "'") + ": " + f.message +
         (f.mend.empty() ? "" : " Mend: " + f.mend);
}

const std::vector<TensorRtRule>& tensorrt_rules() {
  static const std::vector<TensorRtRule> rules = {
#define OCTET_TRT_RULE(number, severity, title) {number, Severity::severity, title},
#include "repair/tensorrt_rules.def"
#undef OCTET_TRT_RULE
  };
  return rules;
}

bool TensorRtCheck::derives_from_constant(ValueId v) const {
  for (size_t steps = 0; steps < 4 && v != k_absent; ++steps) {
    if (graph.constant(v)) return true;
    const Node* node = producer(v);
    if (!node || !(is_q_or_dq(*node) || is_any(*node, {"Cast", "Identity"}))) return false;
    v = node->inputs[0];
  }
  return false;
}

std::vector<RuleFinding> check_tensorrt(const Graph& graph, const TensorRtFile& file) {
  TensorRtCheck check(graph, file);
  for (const Node& node : graph.nodes) {
    if (is_q_or_dq(node)) check_parameters(check, node);
    check_layer(check, node);
    check_placement(check, node);
  }
  check_constants(check);
  check_network(check);
  std::stable_sort(check.findings.begin(), check.findings.end(),
                   [](const RuleFinding& a, const RuleFinding& b) { return a.rule < b.rule; });
  return std::move(check.findings);
}

}  // namespace octet
