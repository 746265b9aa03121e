// What octet cannot read, said before anything else is tried: all unknown nodes in one message.

#include "onnx/importer.h"
#include "onnx/oddity.h"

namespace octet {
namespace {

constexpr int64_t k_first_opset = 7, k_last_opset = 23;
constexpr size_t k_listed_nodes = 12;  // a message stays readable

bool is_default_domain(std::string_view domain) { return domain.empty() || domain == "ai.onnx"; }

bool is_function(const ProtoModel& model, const ProtoNode& node) {
  for (const ProtoFunction& f : model.functions)
    if (f.name == node.op_type && f.domain == node.domain) return true;
  return false;
}

bool is_known(std::string_view op_type) {
  if (find_oddity(op_type)) return true;
  const OpDef* op = find_op(op_type);
  return op && op->is_onnx;
}

/// Why this node cannot be read; empty when it can.
std::string reason_against(const ProtoModel& model, const ProtoNode& node) {
  if (is_function(model, node)) return "calls a function of the file; inline the functions first";
  if (!is_default_domain(node.domain) && !find_foreign_oddity(node.domain, node.op_type))
    return "domain '" + std::string(node.domain) + "' is not supported";
  if (node.op_type == "If" || node.op_type == "Loop" || node.op_type == "Scan")
    return "holds a subgraph; control flow is not supported";
  if (is_default_domain(node.domain) && !is_known(node.op_type)) return "octet has no such op";
  return {};
}

}  // namespace

std::string place_of(const ProtoNode& node) {
  const std::string op = " (" + std::string(node.op_type) + ")";
  if (!node.name.empty()) return "node '" + std::string(node.name) + "'" + op;
  for (const std::string_view output : node.outputs)
    if (!output.empty()) return "node of '" + std::string(output) + "'" + op;
  return "a node" + op;
}

Result<int64_t> default_opset(const ProtoModel& model) {
  int64_t version = 0;
  for (const auto& [domain, wanted] : model.opsets) {
    if (!is_default_domain(domain)) continue;
    if (version != 0 && version != wanted)
      return Error{ErrorCode::bad_model, "the file imports ai.onnx twice, as opset " + std::to_string(version) +
                                             " and " + std::to_string(wanted)};
    version = wanted;
  }
  const std::string range = std::to_string(k_first_opset) + " to " + std::to_string(k_last_opset);
  if (version == 0)
    return Error{ErrorCode::bad_model, "the file imports no opset of ai.onnx; expected one of " + range};
  if (version < k_first_opset || version > k_last_opset)
    return Error{ErrorCode::unsupported, "the file is of opset " + std::to_string(version) + "; octet reads " + range +
                                             " (export with another opset, or convert with onnx.version_converter)"};
  return version;
}

Result<Done> refuse_unknown(const ProtoModel& model, int64_t opset) {
  std::string listed;
  size_t count = 0;
  for (const ProtoNode& node : model.graph.nodes) {
    const std::string reason = reason_against(model, node);
    if (reason.empty()) continue;
    if (++count > k_listed_nodes) continue;
    listed += (count == 1 ? "" : "; ") + place_of(node) + ", opset " + std::to_string(opset) + ": " + reason;
  }
  if (count == 0) return Done{};
  if (count > k_listed_nodes) listed += "; and " + std::to_string(count - k_listed_nodes) + " more";
  return Error{ErrorCode::unsupported, std::to_string(count) + (count == 1 ? " node" : " nodes") +
                                           " cannot be read: " + listed +
                                           ". Export the model with the plain ai.onnx operators that octet lists"};
}

}  // namespace octet
