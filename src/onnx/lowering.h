#pragma once
// Graph -> Graph that ONNX can say: octet's own float ops are expanded always, ONNX ops newer than the wanted opset
// where an older spelling exists. lower.def lists both; what is neither is written as it stands or refused by its
// opset.

#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "ir/graph.h"
#include "ir/op.h"

namespace octet {

/// Rewrites one graph for one opset. Nodes made here may carry attributes of older opsets: the result is for the
/// serializer, not for verify().
class Lowering {
 public:
  /// opset 0: as the graph stands, only octet's own ops are expanded.
  Lowering(Graph graph, int64_t opset);
  /// Errors: an op without an ONNX form (integer ops), an expansion that needs a rank nobody knows.
  Result<Graph> run();

  // For the functions of lower.def.
  const Graph& graph() const { return graph_; }
  /// A value of like's type called "<like's name>_<suffix>".
  ValueId value_like(ValueId like, std::string_view suffix);
  /// The same without a shape.
  ValueId untyped_value(ValueId like, std::string_view suffix);
  ValueId ints_constant(ValueId like, std::string_view suffix, const std::vector<int64_t>& values);
  /// A scalar of like's float dtype.
  Result<ValueId> real_constant(const Node& node, ValueId like, std::string_view suffix, double value);
  /// Appends a node, lowering it further where the opset asks for it. The name is made unique; "" stays.
  Result<Done> emit(std::string_view op, std::string name, std::vector<ValueId> inputs, ValueId output,
                    Attributes attributes = {});
  Result<Done> emit(Node node);
  /// Appends a node that is in its final form.
  Result<Done> keep(Node node);
  Error error(const Node& node, std::string text) const {
    return NodeContext{graph_, node}.error(std::move(text), ErrorCode::unsupported);
  }

 private:
  /// wish, or wish_1, wish_2, ...: a name that no value has.
  std::string unique_name(const std::string& wish);
  ValueId add_constant(const std::string& wish, Tensor tensor);
  Graph graph_;
  std::vector<Node> done_;
  int64_t opset_;
  std::unordered_set<std::string> node_names_, value_names_;  // of the first named_ values; only asked
  size_t named_ = 0;
};

using LowerFn = Result<Done> (*)(Lowering& lowering, const Node& node);

#define OCTET_ONNX_LOWER(op, below, function) Result<Done> function(Lowering& lowering, const Node& node);
#include "onnx/lower.def"
#undef OCTET_ONNX_LOWER

/// The extent of an axis (negative: from the back) when both are known.
std::optional<int64_t> extent_of(const Shape& shape, int64_t axis);
/// A Split whose num_outputs may leave a shorter last part.
bool may_be_uneven(const Graph& graph, const Node& node);
/// The lowest opset, at least 13, that has this node with these attributes, inputs and dtypes.
int64_t required_opset(const Graph& graph, const Node& node);
/// Takes out attributes that this opset does not have yet; required_opset() has seen that they say nothing.
void drop_younger_attributes(const Node& node, int64_t opset, Attributes& attributes);

}  // namespace octet
