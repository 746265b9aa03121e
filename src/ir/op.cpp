#include "ir/op.h"

#include <algorithm>
#include <array>

#include "ir/ops/common.h"
#include "ir/schema.h"

namespace octet {
namespace {

constexpr std::array k_ops = {
#define OCTET_OP(op) &op,
#include "ir/ops/ops.def"
#undef OCTET_OP
};

// Ops that look at no element's value, or at any dtype's.
constexpr std::string_view k_any_dtype[] = {"Cast",
                                            "Concat",
                                            "ConstantOfShape",
                                            "DepthToSpace",
                                            "DequantizeLinear",
                                            "Expand",
                                            "Flatten",
                                            "Gather",
                                            "GatherElements",
                                            "GatherND",
                                            "Identity",
                                            "NonZero",
                                            "OneHot",
                                            "Pad",
                                            "QuantizeLinear",
                                            "Reshape",
                                            "ScatterElements",
                                            "ScatterND",
                                            "Shape",
                                            "Size",
                                            "Slice",
                                            "SpaceToDepth",
                                            "Split",
                                            "Squeeze",
                                            "Tile",
                                            "Transpose",
                                            "Trilu",
                                            "Unsqueeze",
                                            "Where"};
// Ops that compute with numbers and know no bool.
constexpr std::string_view k_no_bool[] = {
    "Abs",         "Add", "ArgMax", "ArgMin", "Clip", "Div", "Einsum", "Greater", "Less",   "Max",  "GreaterOrEqual",
    "LessOrEqual", "Min", "Mod",    "Mul",    "Neg",  "Pow", "Range",  "Resize",  "Shrink", "Sign", "Sub"};

/// An op's reference kernel would refuse the dtype of input 0 when it runs; this says so before.
Result<Done> check_input_dtype(const NodeContext& context) {
  if (!context.has_input(0)) return Done{};
  const auto is_listed = [&](std::span<const std::string_view> ops) {
    return std::find(ops.begin(), ops.end(), context.node.op->name) != ops.end();
  };
  const DType d = context.dtype(0);
  const bool is_short = is_four_bit(d) || is_short_float(d);
  if (!(is_short && !is_listed(k_any_dtype)) && !(d == DType::boolean && is_listed(k_no_bool))) return Done{};
  return context.error("is not defined for " + std::string(name(d)), ErrorCode::unsupported);
}

/// What inference promises: no extent below zero, no tensor larger than k_max_elements even before unknowns are bound.
Result<Done> check_type(const NodeContext& context, const ValueType& type, size_t output) {
  const std::string place = "output " + std::to_string(output);
  if (type.dtype == DType::undefined) return context.error(place + " has no dtype: is the dtype of its inputs known?");
  if (!type.shape) return Done{};
  if (is_bounded(*type.shape)) return Done{};
  return context.error(place + " of shape " + to_string(*type.shape) + " is negative or has more than 2^36 elements");
}

/// The inferred shape, with what the stored one says in addition (a file may know more than inference can).
std::optional<Shape> merged(const std::optional<Shape>& stored, std::optional<Shape> inferred) {
  if (!inferred) return stored && is_bounded(*stored) ? stored : std::nullopt;
  if (!stored || stored->size() != inferred->size()) return inferred;
  const std::optional<Shape> bare = inferred;
  for (size_t i = 0; i < inferred->size(); ++i) {
    Dim& d = (*inferred)[i];
    if (!d.known() && d.symbol.empty()) d = (*stored)[i];
  }
  return is_bounded(*inferred) ? inferred : bare;
}

}  // namespace

Error NodeContext::error(std::string text, ErrorCode code) const {
  std::string place = "node '" + node.name + "'";
  if (node.name.empty()) {
    const bool named =
        !node.outputs.empty() && node.outputs[0] >= 0 && static_cast<size_t>(node.outputs[0]) < graph.values.size();
    place = named ? "node of '" + graph.value(node.outputs[0]).name + "'" : std::string("a node");
  }
  return Error{code, place + " (" + (node.op ? std::string(node.op->name) : "no op") + "): " + std::move(text)};
}

const OpDef* find_op(std::string_view name) {
  const auto found = std::find_if(k_ops.begin(), k_ops.end(), [&](const OpDef* op) { return op->name == name; });
  return found == k_ops.end() ? nullptr : *found;
}

std::span<const OpDef* const> all_ops() { return k_ops; }

Result<std::vector<ValueType>> infer_node(const Graph& graph, const Node& node) {
  if (Result<Done> schema = check_schema(graph, node); !schema) return schema.error();
  const NodeContext context{graph, node};
  if (Result<Done> ok = check_input_dtype(context); !ok) return ok.error();
  Result<std::vector<ValueType>> types = node.op->infer(context);
  if (!types) return types;
  if (types->size() < node.outputs.size())
    return context.error("has " + std::to_string(node.outputs.size()) + " outputs, but makes only " +
                         std::to_string(types->size()));
  types->resize(node.outputs.size());
  for (size_t i = 0; i < types->size(); ++i) {
    if (node.outputs[i] == k_absent) continue;
    if (Result<Done> ok = check_type(context, (*types)[i], i); !ok) return ok.error();
  }
  return types;
}

Result<Done> infer_shapes(Graph& graph) {
  for (const ValueId v : graph.inputs) {
    const Value& input = graph.value(v);
    if (input.shape && !is_bounded(*input.shape))
      return Error{ErrorCode::bad_model, "graph input '" + input.name + "': the shape " + to_string(*input.shape) +
                                             " is negative or has more than 2^36 elements"};
  }
  for (const Node& node : graph.nodes) {
    Result<std::vector<ValueType>> types = infer_node(graph, node);
    if (!types) return types.error();
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i] == k_absent) continue;
      Value& value = graph.value(node.outputs[i]);
      value.dtype = (*types)[i].dtype;
      value.shape = merged(value.shape, std::move((*types)[i].shape));
    }
  }
  return Done{};
}

}  // namespace octet
