#pragma once
// The graph: the only language between the file and the plan. A value type: copy, compare, print.
// Semantics are ONNX's (newest opset octet supports), plus octet's own fused and integer ops (src/ir/ops/README.md).

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/dtype.h"
#include "base/result.h"
#include "base/shape.h"
#include "tensor/tensor.h"

namespace octet {

struct OpDef;  // ir/op.h

using ValueId = int32_t;
using NodeId = int32_t;
inline constexpr ValueId k_absent = -1;  // an optional input or output that is not there

using Attribute = std::variant<int64_t, float, std::string, std::vector<int64_t>, std::vector<float>,
                               std::vector<std::string>, Tensor>;
using Attributes = std::map<std::string, Attribute>;

struct Value {
  std::string name;  // unique in the graph, never empty
  DType dtype = DType::undefined;
  std::optional<Shape> shape;      // nothing while the rank is unknown
  std::optional<Tensor> constant;  // set = initializer; dtype and shape agree with it
};

struct Node {
  const OpDef* op = nullptr;
  std::string name;  // may be empty; unique when not
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
  Attributes attributes;
  /// Names of the ONNX file's nodes that became this one, in the file's order (ir/origins.h). Decides nothing that is
  /// computed; no part of the graph's text and hash. Empty where octet made the node by itself.
  std::vector<std::string> origins = {};
};

/// Nodes are in topological order. Values are never renumbered while a pass runs; a value that nobody names any more
/// stays until compact().
struct Graph {
  std::string name;
  std::vector<Value> values;
  std::vector<Node> nodes;
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
  /// What travels with the network from calibration on: the ONNX file's metadata entries whose key begins with "octet."
  /// (metadata.h). It decides nothing that is computed and is no part of the graph's hash.
  std::map<std::string, std::string> metadata;

  Value& value(ValueId id) { return values[static_cast<size_t>(id)]; }
  const Value& value(ValueId id) const { return values[static_cast<size_t>(id)]; }
  Node& node(NodeId id) { return nodes[static_cast<size_t>(id)]; }
  const Node& node(NodeId id) const { return nodes[static_cast<size_t>(id)]; }

  ValueId add_value(std::string name, DType dtype = DType::undefined, std::optional<Shape> shape = {});
  /// A new initializer; its name is made unique by a suffix if it is taken.
  ValueId add_constant(std::string name, Tensor tensor);
  /// wish, or wish_1, wish_2, ... : a name that no value has.
  std::string unique_value_name(std::string_view wish) const;
  std::optional<ValueId> find_value(std::string_view name) const;
  /// The tensor of an initializer, else null.
  const Tensor* constant(ValueId id) const;
};

/// Who makes and who reads each value; computed on demand, stale after any edit.
struct Uses {
  std::vector<NodeId> producer;                // by value; -1 for inputs and constants
  std::vector<std::vector<NodeId>> consumers;  // by value; a node appears once per input that reads it
  std::vector<uint8_t> is_output;              // by value
  explicit Uses(const Graph& graph);
  /// Read by exactly one input of one node and not a graph output.
  bool single_use(ValueId v) const {
    return consumers[static_cast<size_t>(v)].size() == 1 && !is_output[static_cast<size_t>(v)];
  }
};

/// Makes every reader of from (nodes and graph outputs) read to. A graph output keeps its name: when from is a graph
/// output, to takes over the name and from gets a spare one; but when to is itself a graph input or output, whose name
/// must stay, the graph output from is left as it is and only nodes are rewired.
void replace_uses(Graph& graph, ValueId from, ValueId to);
/// Removes the marked nodes (mask by NodeId) keeping order.
void remove_nodes(Graph& graph, const std::vector<bool>& marked);
/// Sorts nodes topologically (stable); an Error names a cycle's node.
Result<Done> sort_nodes(Graph& graph);
/// Drops values that nothing names and renumbers.
void compact(Graph& graph);

// Attribute access with a default; a wrong kind is impossible after verify().
int64_t int_attribute(const Node& node, const std::string& key, int64_t otherwise);
float float_attribute(const Node& node, const std::string& key, float otherwise);
std::string string_attribute(const Node& node, const std::string& key, std::string otherwise);
std::vector<int64_t> ints_attribute(const Node& node, const std::string& key, std::vector<int64_t> otherwise);
std::vector<float> floats_attribute(const Node& node, const std::string& key, std::vector<float> otherwise);
bool has_attribute(const Node& node, const std::string& key);

}  // namespace octet
