#include "ir/schema.h"

#include <algorithm>
#include <array>

#include "ir/op.h"

namespace octet {
namespace {

enum class Kind { integer, real, string, ints, floats, strings, tensor };  // in the order of Attribute's alternatives

struct AttributeKind {
  std::string_view name;
  Kind kind;
};
// One name has one kind in all ops, as in ONNX; "to" and "dtype" are dtypes' words (README.md). A name that is not
// listed is not checked.
constexpr AttributeKind k_kinds[] = {
    {"a_scale", Kind::real},
    {"a_zero_point", Kind::integer},
    {"activation", Kind::string},
    {"activation_alpha", Kind::floats},
    {"activation_beta", Kind::floats},
    {"activation_params", Kind::floats},
    {"activations", Kind::strings},
    {"align_corners", Kind::integer},
    {"allowzero", Kind::integer},
    {"alpha", Kind::real},
    {"antialias", Kind::integer},
    {"approximate", Kind::string},
    {"auto_pad", Kind::string},
    {"axes", Kind::ints},
    {"axis", Kind::integer},
    {"b_scale", Kind::real},
    {"b_zero_point", Kind::integer},
    {"batch_dims", Kind::integer},
    {"beta", Kind::real},
    {"bias", Kind::real},
    {"block_size", Kind::integer},
    {"blocksize", Kind::integer},
    {"ceil_mode", Kind::integer},
    {"center_point_box", Kind::integer},
    {"clip", Kind::real},
    {"coordinate_transformation_mode", Kind::string},
    {"count_include_pad", Kind::integer},
    {"cubic_coeff_a", Kind::real},
    {"detect_negative", Kind::integer},
    {"detect_positive", Kind::integer},
    {"dilations", Kind::ints},
    {"direction", Kind::string},
    {"dtype", Kind::string},
    {"end", Kind::integer},
    {"epsilon", Kind::real},
    {"equation", Kind::string},
    {"exclude_outside", Kind::integer},
    {"exclusive", Kind::integer},
    {"extrapolation_value", Kind::real},
    {"fmod", Kind::integer},
    {"gamma", Kind::real},
    {"group", Kind::integer},
    {"hidden_size", Kind::integer},
    {"input_forget", Kind::integer},
    {"k", Kind::integer},
    {"keep_aspect_ratio_policy", Kind::string},
    {"keepdims", Kind::integer},
    {"kernel_shape", Kind::ints},
    {"lambd", Kind::real},
    {"largest", Kind::integer},
    {"layout", Kind::integer},
    {"linear_before_reset", Kind::integer},
    {"mode", Kind::string},
    {"momentum", Kind::real},
    {"nearest_mode", Kind::string},
    {"noop_with_empty_axes", Kind::integer},
    {"num_groups", Kind::integer},
    {"num_outputs", Kind::integer},
    {"output_padding", Kind::ints},
    {"output_shape", Kind::ints},
    {"p", Kind::integer},
    {"padding_mode", Kind::string},
    {"pads", Kind::ints},
    {"perm", Kind::ints},
    {"precision", Kind::integer},
    {"reduction", Kind::string},
    {"residual_scale", Kind::real},
    {"residual_zero_point", Kind::integer},
    {"reverse", Kind::integer},
    {"saturate", Kind::integer},
    {"select_last_index", Kind::integer},
    {"size", Kind::integer},
    {"sorted", Kind::integer},
    {"start", Kind::integer},
    {"stash_type", Kind::integer},
    {"storage_order", Kind::integer},
    {"strides", Kind::ints},
    {"to", Kind::string},
    {"transA", Kind::integer},
    {"transB", Kind::integer},
    {"upper", Kind::integer},
    {"value", Kind::tensor},
    {"x_scale", Kind::real},
    {"x_zero_point", Kind::integer},
    {"y_scale", Kind::real},
    {"y_zero_point", Kind::integer},
};
constexpr std::array<std::string_view, 7> k_kind_names = {"int",    "float",   "string", "ints",
                                                          "floats", "strings", "tensor"};

/// "2", "1 to 3", "at least 1".
std::string expected_count(int min, int max) {
  if (max < 0) return "at least " + std::to_string(min);
  if (min == max) return std::to_string(min);
  return std::to_string(min) + " to " + std::to_string(max);
}

Result<Done> check_arity(const NodeContext& context) {
  const OpDef& op = *context.node.op;
  const auto fits = [](size_t count, int min, int max) {
    return count >= static_cast<size_t>(min) && (max < 0 || count <= static_cast<size_t>(max));
  };
  if (!fits(context.input_count(), op.min_inputs, op.max_inputs))
    return context.error("has " + std::to_string(context.input_count()) + " inputs, expected " +
                         expected_count(op.min_inputs, op.max_inputs));
  if (!fits(context.node.outputs.size(), op.outputs_min, op.outputs_max))
    return context.error("has " + std::to_string(context.node.outputs.size()) + " outputs, expected " +
                         expected_count(op.outputs_min, op.outputs_max));
  const size_t required = op.max_inputs < 0 ? context.input_count() : static_cast<size_t>(op.min_inputs);
  for (size_t i = 0; i < required; ++i)
    if (!context.has_input(i)) return context.error("input " + std::to_string(i) + " is missing, but it is required");
  for (size_t i = 0; i < static_cast<size_t>(op.outputs_min); ++i)
    if (context.node.outputs[i] == k_absent)
      return context.error("output " + std::to_string(i) + " is missing, but it is required");
  return Done{};
}

}  // namespace

std::string_view kind_name(const Attribute& attribute) { return k_kind_names[attribute.index()]; }

Result<Done> check_schema(const Graph& graph, const Node& node) {
  const NodeContext context{graph, node};
  if (Result<Done> arity = check_arity(context); !arity) return arity;
  for (const auto& [key, value] : node.attributes) {
    if (std::find(node.op->attributes.begin(), node.op->attributes.end(), key) == node.op->attributes.end())
      return context.error("attribute '" + key + "' is not known for this op");
    const auto row = std::find_if(std::begin(k_kinds), std::end(k_kinds),
                                  [&name = key](const AttributeKind& k) { return k.name == name; });
    if (row != std::end(k_kinds) && static_cast<size_t>(row->kind) != value.index())
      return context.error("attribute '" + key + "' is of kind " + std::string(kind_name(value)) + ", expected " +
                           std::string(k_kind_names[static_cast<size_t>(row->kind)]));
  }
  return Done{};
}

bool shapes_agree(const std::optional<Shape>& a, const std::optional<Shape>& b) {
  if (!a || !b) return true;
  if (a->size() != b->size()) return false;
  for (size_t i = 0; i < a->size(); ++i)
    if ((*a)[i].known() && (*b)[i].known() && (*a)[i].value != (*b)[i].value) return false;
  return true;
}

bool is_bounded(const Shape& shape) {
  Dims known;
  for (const Dim& d : shape) {
    if (d.value < -1) return false;
    if (d.known()) known.push_back(d.value);
  }
  return element_count(known).has_value();
}

}  // namespace octet
