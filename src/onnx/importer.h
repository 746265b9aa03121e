#pragma once
// ProtoModel -> Graph. What a file says differently from the IR (older opsets, other spellings) is converted by one
// function per oddity (map.def); everything else goes straight to Importer::emit.

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ir/graph.h"
#include "ir/op.h"
#include "onnx/onnx.h"
#include "onnx/proto.h"
#include "onnx/tensor_proto.h"

namespace octet {

/// A node as the file has it: ONNX's op name, attributes and inputs of the model's opset.
struct ForeignNode {
  std::string op;
  std::string name;
  int64_t opset = 0;
  std::vector<ValueId> inputs, outputs;
  Attributes attributes;
};

class Importer {
 public:
  Importer(const ProtoModel& model, TensorReader tensors) : model_(model), tensors_(std::move(tensors)) {}
  /// Everything but verify(). With problems: the rest of the graph, in which values without a maker are inputs of a
  /// type that fits, and what nobody reads is an output. Errors: what leaves nothing to look at.
  Result<OnnxModel> run();

  // For the oddities. A node's inputs have their types, as far as inference and the file's value_info can tell.
  Graph& graph() { return graph_; }
  const Value& value(ValueId id) const { return graph_.value(id); }
  bool has_input(const ForeignNode& node, size_t i) const {
    return i < node.inputs.size() && node.inputs[i] != k_absent;
  }
  /// The input's initializer, else null.
  const Tensor* constant(const ForeignNode& node, size_t i) const {
    return has_input(node, i) ? graph_.constant(node.inputs[i]) : nullptr;
  }
  /// The input's shape; null when it is unknown or the input absent.
  const Shape* shape(const ForeignNode& node, size_t i) const;
  /// Read by a node or a graph output.
  bool is_used(ValueId id) const { return used_.contains(id); }
  /// "<name of the node's first output>_<suffix>", made unique.
  std::string derived_name(const ForeignNode& node, std::string_view suffix) const;
  ValueId add_constant(const ForeignNode& node, std::string_view suffix, Tensor tensor);
  ValueId add_value(const ForeignNode& node, std::string_view suffix);
  /// Appends the node: its op's attributes only, outputs that octet does not compute dropped when nobody reads them,
  /// types inferred.
  Result<Done> emit(ForeignNode node);
  /// What was tolerated; after a hundred of them only their number is kept.
  void note(std::string text);
  void edited(OnnxEdit edit) { info_.edits.push_back(std::move(edit)); }
  /// "node 'n' (Op): " + text.
  Error error(const ForeignNode& node, std::string text, ErrorCode code = ErrorCode::unsupported) const;

 private:
  void read_initializers();
  void read_inputs();
  Result<Done> read_input(const ProtoValue& input);
  void read_stored_types();
  /// The nodes of the graph or of a chosen branch, in topological order.
  void import_nodes(const ProtoGraph& graph);
  void import_node(const ProtoNode& proto);
  Result<Done> import_if(const ProtoNode& proto);
  Result<Done> import_branch(const ProtoNode& proto, ByteSpan message);
  void name_branch(const ProtoNode& proto, ProtoGraph& branch,
                   std::vector<std::pair<std::string, Tensor>>& initializers);
  /// The unique name of what a node of the innermost open branch calls so; prefix: for a name that nothing there has.
  std::string_view scoped(std::string_view value_name, const std::string& prefix);
  /// The value's elements when they are constants, or follow from constants and known shapes.
  std::optional<Tensor> known(ValueId v, int depth) const;
  Result<Done> define_constant(std::string_view value_name, Tensor tensor, const std::string& place);
  void read_outputs();
  Result<ForeignNode> foreign_node(const ProtoNode& proto);
  Result<Done> convert(const ProtoNode& proto, ForeignNode node);

  // Behind a problem (behind_problems.cpp).
  struct Mark {
    size_t values, nodes, notes, untold_notes, edits, operator_forms, problems;
  };
  Mark mark() const;
  /// Forgets what was read since, and what the node's outputs are.
  void back_to(const Mark& mark, const ProtoNode& proto);
  /// Nobody knows what the node makes.
  void lose(const ProtoNode& proto);
  bool reads_unknown(const ProtoNode& proto) const;
  /// Converts a node that reads values of unknown type with a type that fits; tells a problem when none does.
  void convert_behind(const ProtoNode& proto, const ForeignNode& node);
  void complete_the_rest();
  /// Double constants beside float data (doubles.cpp).
  void narrow_doubles(ForeignNode& node);
  Result<ValueId> define(std::string_view value_name, const std::string& place);
  /// Takes out what the op has not; attributes that octet lacks are problems.
  Result<Done> filter_attributes(ForeignNode& node, const OpDef& op);
  Result<Done> drop_extra_outputs(ForeignNode& node, const OpDef& op) const;
  Result<Done> store_types(const Node& node);

  const ProtoModel& model_;
  TensorReader tensors_;
  Graph graph_;
  OnnxInfo info_;
  size_t untold_notes_ = 0;
  std::vector<Error> problems_;
  std::unordered_set<std::string_view> unknown_;        // values whose maker, or a maker before it, has a problem
  std::unordered_set<std::string> lost_constants_;      // constants that cannot be read
  std::unordered_set<const ProtoNode*> second_makers_;  // of values that exist already
  bool lost_a_name_ = false;                            // of an initializer: who reads what nobody makes may mean it
  size_t trials_ = 0;
  std::unordered_map<std::string, ValueId> ids_;                          // only looked up, never iterated
  std::unordered_map<std::string_view, const ProtoValue*> stored_types_;  // value_info and graph outputs
  std::unordered_map<std::string, int64_t> node_names_;                   // with the last number put behind the name
  std::unordered_set<std::string_view> read_names_;                       // read by a node or a graph output
  std::unordered_set<ValueId> used_;
  std::deque<ProtoGraph> branches_;  // of Ifs, as names point into them
  std::deque<std::string> texts_;    // names of values inside them
  InlinedText inlined_;              // of functions called inside them
  /// Names of an open branch, or, closed, those that a function's branches see of the call.
  struct Scope {
    std::map<std::string_view, std::string_view> names;  // inner name, unique name
    const ProtoCall* call = nullptr;                     // of a closed one: nothing outside is seen
  };
  std::vector<Scope> scopes_;
};

/// A whole file: bytes -> graph, not yet verified. read_onnx() is this and verify().
Result<OnnxModel> import_with_problems(ByteSpan bytes, std::shared_ptr<const void> keep_alive,
                                       std::optional<std::string> folder = {});
Result<OnnxModel> import_onnx(ByteSpan bytes, std::shared_ptr<const void> keep_alive,
                              std::optional<std::string> folder = {});
/// Name and value of an AttributeProto. Errors: subgraphs, lists of tensors, references (they occur in functions only).
Result<std::pair<std::string, Attribute>> read_attribute(ByteSpan message, TensorReader& tensors);
/// "node 'n' (Op)", or "node of 'output' (Op)" when it has no name.
std::string place_of(const ProtoNode& node);

}  // namespace octet
