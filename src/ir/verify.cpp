// Checks a graph from the outside in: ids, names, order, then schema, then agreement with inference, so that each step
// may rely on the one before.

#include <unordered_set>

#include "base/diagnostics.h"
#include "ir/op.h"
#include "ir/schema.h"

namespace octet {
namespace {

Error bad(std::string text) { return Error{ErrorCode::bad_model, std::move(text)}; }

Result<Done> check_ids(const Graph& graph, const std::vector<ValueId>& ids, const std::string& place,
                       bool may_be_absent) {
  for (const ValueId v : ids) {
    if (v == k_absent && may_be_absent) continue;
    if (v < 0 || static_cast<size_t>(v) >= graph.values.size())
      return bad(place + ": value id " + std::to_string(v) + " is not one of the graph's " +
                 std::to_string(graph.values.size()) + " values");
  }
  return Done{};
}

Result<Done> check_value(const Value& value) {
  const std::string place = "value '" + value.name + "'";
  if (value.shape && !is_bounded(*value.shape))
    return bad(place + ": the shape " + to_string(*value.shape) + " is negative or has more than 2^36 elements");
  if (!value.constant) return Done{};
  if (value.constant->dtype() != value.dtype || value.dtype == DType::undefined)
    return bad(place + ": stored dtype " + std::string(name(value.dtype)) + ", but its constant is " +
               std::string(name(value.constant->dtype())));
  if (!value.shape || *value.shape != to_shape(value.constant->dims()))
    return bad(place + ": stored shape " + (value.shape ? to_string(*value.shape) : "unknown") +
               ", but its constant is " + to_string(value.constant->dims()));
  return Done{};
}

Result<Done> check_names(const Graph& graph) {
  std::unordered_set<std::string_view> names;
  for (const Value& value : graph.values) {
    if (value.name.empty()) return bad("a value has no name");
    if (!names.insert(value.name).second) return bad("two values are called '" + value.name + "'");
    if (Result<Done> ok = check_value(value); !ok) return ok;
  }
  names.clear();
  for (const Node& node : graph.nodes)
    if (!node.name.empty() && !names.insert(node.name).second) return bad("two nodes are called '" + node.name + "'");
  return Done{};
}

Result<Done> check_all_ids(const Graph& graph) {
  if (Result<Done> ok = check_ids(graph, graph.inputs, "graph inputs", false); !ok) return ok;
  if (Result<Done> ok = check_ids(graph, graph.outputs, "graph outputs", false); !ok) return ok;
  for (const Node& node : graph.nodes) {
    if (!node.op) return bad("node '" + node.name + "' has no op");
    const std::string place = "node '" + node.name + "' (" + std::string(node.op->name) + ")";
    if (Result<Done> ok = check_ids(graph, node.inputs, place, true); !ok) return ok;
    if (Result<Done> ok = check_ids(graph, node.outputs, place, true); !ok) return ok;
  }
  return Done{};
}

/// Every value is a graph input, a constant or the output of one earlier node.
Result<Done> check_order(const Graph& graph) {
  std::vector<bool> known(graph.values.size(), false);
  for (const ValueId v : graph.inputs) {
    const Value& value = graph.value(v);
    if (known[static_cast<size_t>(v)]) return bad("graph input '" + value.name + "' is listed twice");
    if (value.constant) return bad("graph input '" + value.name + "' is also a constant");
    if (value.dtype == DType::undefined) return bad("graph input '" + value.name + "' has no dtype");
    known[static_cast<size_t>(v)] = true;
  }
  for (size_t v = 0; v < graph.values.size(); ++v)
    if (graph.values[v].constant) known[v] = true;
  for (const Node& node : graph.nodes) {
    const NodeContext context{graph, node};
    for (const ValueId v : node.inputs)
      if (v != k_absent && !known[static_cast<size_t>(v)])
        return context.error("reads '" + graph.value(v).name + "' before anything makes it");
    for (const ValueId v : node.outputs) {
      if (v == k_absent) continue;
      if (known[static_cast<size_t>(v)])
        return context.error("makes '" + graph.value(v).name + "', which exists already");
      known[static_cast<size_t>(v)] = true;
    }
  }
  for (const ValueId v : graph.outputs)
    if (!known[static_cast<size_t>(v)]) return bad("graph output '" + graph.value(v).name + "' is made by no node");
  return Done{};
}

/// The stored types of a node's outputs are those that inference finds.
Result<Done> check_inference(const Graph& graph, const Node& node) {
  Result<std::vector<ValueType>> types = infer_node(graph, node);
  if (!types) return types.error();
  const NodeContext context{graph, node};
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.outputs[i] == k_absent) continue;
    const Value& value = graph.value(node.outputs[i]);
    const ValueType& type = (*types)[i];
    if (value.dtype != type.dtype)
      return context.error("output '" + value.name + "' is stored as " + std::string(name(value.dtype)) +
                           ", but inference says " + std::string(name(type.dtype)));
    if (!shapes_agree(value.shape, type.shape))
      return context.error("output '" + value.name + "' is stored as " + to_string(*value.shape) +
                           ", but inference says " + to_string(*type.shape));
  }
  return Done{};
}

/// All problems of validate, a line each, up to the first node whose types do not agree.
Result<Done> check_types(const Graph& graph) {
  std::vector<Error> problems;
  for (const Node& node : graph.nodes) {
    const Result<Done> types = check_inference(graph, node);
    const Result<Done> valid = types && node.op->validate ? node.op->validate(NodeContext{graph, node}) : types;
    if (!valid) problems.push_back(valid.error());
    if (!types || problems.size() == k_most_problems) break;
  }
  if (problems.empty()) return Done{};
  return join_problems(std::move(problems));
}

}  // namespace

std::vector<Error> validation_problems(const Graph& graph) {
  std::vector<Error> problems;
  for (const Node& node : graph.nodes) {
    const Result<Done> valid = node.op->validate ? node.op->validate(NodeContext{graph, node}) : Done{};
    if (!valid) problems.push_back(valid.error());
  }
  return problems;
}

Result<Done> verify(const Graph& graph) {
  if (Result<Done> ok = check_all_ids(graph); !ok) return ok;
  if (Result<Done> ok = check_names(graph); !ok) return ok;
  if (Result<Done> ok = check_order(graph); !ok) return ok;
  return check_types(graph);
}

}  // namespace octet
