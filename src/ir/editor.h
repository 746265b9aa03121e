#pragma once
// Editing a graph while matching, and the small questions that patterns ask of nodes and constants. For passes and
// repairs.

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ir/graph.h"
#include "ir/op.h"

namespace octet {

/// Edits a graph and keeps "who makes and who reads each value" right at every step. Node ids stay valid until
/// finish(), which drops the removed nodes and puts the inserted ones in their places. References to nodes end with
/// the next edit.
class Editor {
 public:
  explicit Editor(Graph& graph);
  ~Editor() { finish(); }
  Editor(const Editor&) = delete;
  Editor& operator=(const Editor&) = delete;

  Graph& graph() { return graph_; }
  const Graph& graph() const { return graph_; }
  /// Number of the graph's own nodes; inserted ones have ids from here on.
  NodeId node_count() const { return own_; }
  const Node& node(NodeId id) const { return graph_.node(id); }
  bool gone(NodeId id) const { return gone_[static_cast<size_t>(id)]; }

  /// -1 for graph inputs, constants and absent values.
  NodeId producer(ValueId v) const;
  /// The node that makes v when it is of this op, else null.
  const Node* producer(ValueId v, std::string_view op) const;
  /// Node ids, once per input that reads v.
  const std::vector<NodeId>& readers(ValueId v) const { return readers_[static_cast<size_t>(v)]; }
  bool is_output(ValueId v) const;
  bool is_input(ValueId v) const;
  /// Read by exactly one input of one node and not a graph output.
  bool single_use(ValueId v) const { return readers(v).size() == 1 && !is_output(v); }
  /// The one reader of a value of single use, else -1.
  NodeId only_reader(ValueId v) const { return single_use(v) ? readers(v)[0] : -1; }

  /// Puts another node in the place of `at`, whose origins it takes where it has none; values that only the old one
  /// made are no longer made by anyone.
  void replace(NodeId at, Node node);
  /// A node that runs just before `anchor` (one of the graph's own nodes), behind those inserted there earlier.
  NodeId insert_before(NodeId anchor, Node node);
  void remove(NodeId at);
  /// Makes every reader of from read to. False, and nothing changed, when from is a graph output whose name cannot move
  /// to `to` (a graph input, a constant or an output itself).
  bool replace_uses(ValueId from, ValueId to);
  void set_input(NodeId at, size_t input, ValueId v);
  /// A fresh value like `like` (dtype and shape), named after wish.
  ValueId add_value(std::string_view wish, ValueId like);
  ValueId add_value(std::string_view wish, DType dtype, std::optional<Shape> shape);
  ValueId add_constant(std::string_view wish, Tensor tensor);
  void finish();

 private:
  void unlink(NodeId at);
  void link(NodeId at);
  void grow();
  std::string unique_name(std::string_view wish);
  Graph& graph_;
  NodeId own_;
  bool finished_ = false;
  std::vector<NodeId> producer_;
  std::vector<std::vector<NodeId>> readers_;
  std::vector<bool> gone_;
  std::vector<NodeId> anchor_;  // by node: the own node it runs before; itself for an own node
  // Names of the first named_ values, and for each wish the last number tried: a name costs no walk over all values.
  // Only asked, never iterated.
  std::unordered_set<std::string> names_;
  std::unordered_map<std::string, int64_t> numbers_;
  size_t named_ = 0;
};

// ---- nodes ----

Node make_node(std::string_view op, std::string name, std::vector<ValueId> inputs, std::vector<ValueId> outputs,
               Attributes attributes = {});
/// Input i, or k_absent.
inline ValueId input(const Node& node, size_t i) { return i < node.inputs.size() ? node.inputs[i] : k_absent; }
/// wish, or wish_1, wish_2, ...: a name that no node has. An empty wish stays empty.
std::string unique_node_name(const Graph& graph, std::string_view wish);
/// The node's name, else its first output's.
std::string label(const Graph& graph, const Node& node);
inline bool is_any(const Node& node, std::initializer_list<std::string_view> ops) {
  for (std::string_view op : ops)
    if (is_op(node, op)) return true;
  return false;
}

// ---- constants ----

/// The tensor of an initializer; null when absent, not constant or of another dtype.
const Tensor* constant_of(const Graph& graph, ValueId v, DType dtype);
std::optional<float> scalar_constant(const Graph& graph, ValueId v);
/// A constant f32 scalar within relative 1e-6 of x.
bool is_scalar(const Graph& graph, ValueId v, double x);
std::optional<std::vector<int64_t>> constant_ints(const Graph& graph, ValueId v);

// ---- Q and DQ ----

/// Scale and zero point of a QuantizeLinear or DequantizeLinear with constant per-tensor parameters.
struct CodeParams {
  float scale = 1.0f;
  int32_t zero_point = 0;
  DType dtype = DType::undefined;
  bool operator==(const CodeParams&) const = default;
};
/// Nothing when a parameter is not constant, not per tensor, not f32 or the codes are not s8 or u8.
std::optional<CodeParams> code_params(const Graph& graph, const Node& quantize_or_dequantize);

}  // namespace octet
