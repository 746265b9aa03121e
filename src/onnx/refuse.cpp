// What octet cannot read, said before anything else is tried: all unknown nodes in one message.

#include <map>

#include "onnx/importer.h"
#include "onnx/oddity.h"
#include "onnx/onnx.h"
#include "onnx/refuse.h"

namespace octet {
namespace {

constexpr size_t k_listed_ops = 20, k_listed_nodes = 3;  // a message stays readable

/// The nodes that cannot be read for the same reason.
struct Refused {
  std::string op, reason;  // "com.microsoft:QLinearAdd"
  int64_t opset = 0;
  std::vector<std::string> nodes;
};

bool is_default_domain(std::string_view domain) { return domain.empty() || domain == "ai.onnx"; }

std::string name_of(const ProtoNode& node) {
  if (!node.name.empty()) return "node '" + std::string(node.name) + "'";
  for (const std::string_view output : node.outputs)
    if (!output.empty()) return "node of '" + std::string(output) + "'";
  return "a node";
}

bool is_known(std::string_view op_type) {
  const std::string_view ir_op = ir_op_of(op_type);
  if (ir_op.empty()) return !op_type.empty();
  const OpDef* op = find_op(ir_op);
  return op && op->is_onnx;
}

/// What to do about domains that tools are known to write.
struct DomainMend {
  std::string_view domain, op;  // op empty: every one
  std::string_view mend;
};
constexpr DomainMend k_domain_mends[] = {
    {"ai.onnx.ml", "",
     "scikit-learn's operators: keep scalers and the choice of a label outside, a regressor's network is plain "
     "ai.onnx"},
    {"com.microsoft", "MatMulNBits", "weights in blocks: write them with quant_format=QuantFormat.QDQ"},
    {"com.microsoft", "", "ONNX Runtime's optimizations write it: take the file from before them"},
    {"com.microsoft.nchwc", "", "made for one machine by ONNX Runtime's optimizations: take the file from before them"},
    {"com.ms.internal.nhwc", "",
     "made for one machine by ONNX Runtime's optimizations: take the file from before them"},
    {"onnx.brevitas", "", "export with brevitas.export.export_onnx_qcdq"},
    {"qonnx.custom_op.general", "", "export as Q/DQ, or convert with qonnx's QuantToQCDQ"},
    {"trt", "", "TensorRT's own FP8 nodes: export in INT8"},
};

std::string unknown_domain(const ProtoNode& node) {
  const std::string text = "domain '" + std::string(node.domain) + "' is not supported";
  for (const DomainMend& known : k_domain_mends)
    if (known.domain == node.domain && (known.op.empty() || known.op == node.op_type))
      return text + " (" + std::string(known.mend) + ")";
  return text;
}

std::string opset_range() { return std::to_string(k_first_opset) + " to " + std::to_string(k_last_opset); }

/// Why this node cannot be read; empty when it can.
std::string reason_against(const ProtoNode& node) {
  if (!is_default_domain(node.domain) && !find_foreign_oddity(node.domain, node.op_type)) return unknown_domain(node);
  if (node.op_type == "Loop" || node.op_type == "Scan") return "holds a subgraph, loops are not supported";
  if (node.op_type == "If") return {};  // the importer asks for its condition
  if (is_default_domain(node.domain) && !is_known(node.op_type)) return "octet has no such op";
  return {};
}

int64_t opset_of(const ProtoModel& model, std::string_view domain, int64_t default_version) {
  for (const auto& [imported, version] : model.opsets)
    if (imported == domain && !is_default_domain(domain)) return version;
  return is_default_domain(domain) ? default_version : 0;
}

/// "Foo (opset 13): octet has no such op: node 'a', node 'b' and 5 more".
std::string text_of(const Refused& group) {
  std::string text = group.op + " (opset " + std::to_string(group.opset) + "): " + group.reason + ": ";
  for (size_t i = 0; i < group.nodes.size() && i < k_listed_nodes; ++i) text += (i ? ", " : "") + group.nodes[i];
  if (group.nodes.size() > k_listed_nodes)
    text += " and " + std::to_string(group.nodes.size() - k_listed_nodes) + " more";
  return text;
}

}  // namespace

bool cannot_be_read(const ProtoNode& node) { return !reason_against(node).empty(); }

std::string place_of(const ProtoNode& node) { return name_of(node) + " (" + std::string(node.op_type) + ")"; }

Result<Done> check_opset(const std::string& what, int64_t version) {
  if (version >= k_first_opset && version <= k_last_opset) return Done{};
  return Error{ErrorCode::unsupported, what + " is of opset " + std::to_string(version) + "; octet reads " +
                                           opset_range() +
                                           " (export with another opset, or convert with onnx.version_converter)"};
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
  if (version == 0)
    return Error{ErrorCode::bad_model, "the file imports no opset of ai.onnx; expected one of " + opset_range()};
  if (Result<Done> ok = check_opset("the file", version); !ok) return ok.error();
  return version;
}

Result<Done> refuse_unknown(const ProtoModel& model, int64_t opset) {
  std::vector<Refused> groups;
  std::map<std::pair<std::string, std::string>, size_t> index;  // op and reason
  size_t count = 0;
  for (const ProtoNode& node : model.graph.nodes) {
    const std::string reason = reason_against(node);
    if (reason.empty()) continue;
    ++count;
    const std::string op = is_default_domain(node.domain) ? std::string(node.op_type)
                                                          : std::string(node.domain) + ":" + std::string(node.op_type);
    const auto [at, is_new] = index.emplace(std::pair(op, reason), groups.size());
    // A node of a function is of the function's opset.
    if (is_new) groups.push_back({op, reason, opset_of(model, node.domain, node.opset ? node.opset : opset), {}});
    groups[at->second].nodes.push_back(name_of(node));
  }
  if (count == 0) return Done{};
  std::string listed;
  for (size_t i = 0; i < groups.size() && i < k_listed_ops; ++i) listed += (i ? "; " : "") + text_of(groups[i]);
  if (groups.size() > k_listed_ops) listed += "; and " + std::to_string(groups.size() - k_listed_ops) + " ops more";
  return Error{ErrorCode::unsupported, std::to_string(count) + (count == 1 ? " node" : " nodes") + " cannot be read. " +
                                           listed + ". Export the model with plain ai.onnx operators"};
}

}  // namespace octet
