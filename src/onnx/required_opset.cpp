// The lowest opset that has a node as it stands. Source: "since_version" of the ONNX operator schemas, opsets 13 to 23.

#include <algorithm>

#include "onnx/lowering.h"

namespace octet {
namespace {

constexpr int64_t k_lowest = 13;  // per-channel Q/DQ; octet writes nothing older

/// Since when there is the op in the form of the IR.
int64_t opset_of_op(std::string_view op) {
  if (op == "GroupNormalization") return 21;  // scale and bias per channel
#define OCTET_ONNX_SINCE(listed, opset) \
  if (op == #listed) return opset;
#include "onnx/since.def"
#undef OCTET_ONNX_SINCE
  return k_lowest;
}

/// Attributes that came later than their ops. The value `harmless` (and any value of another kind) needs nothing.
struct SinceAttribute {
  std::string_view op;  // "Reduce*": all of them but ReduceSum
  std::string_view attribute;
  int64_t harmless;
  int64_t opset;
};
constexpr SinceAttribute k_attributes[] = {
    {"BatchNormalization", "training_mode", 0, 14},
    {"Cast", "saturate", 1, 19},
    {"DequantizeLinear", "block_size", 0, 21},
    {"QuantizeLinear", "block_size", 0, 21},
    {"QuantizeLinear", "saturate", 1, 19},
    {"Reduce*", "noop_with_empty_axes", 0, 18},
    {"Reshape", "allowzero", 0, 14},
    {"Resize", "antialias", 0, 18},
    {"Shape", "start", 0, 15},
};

bool has_input(const Node& node, size_t i) { return i < node.inputs.size() && node.inputs[i] != k_absent; }

bool is_younger_reduction(const Node& node) { return node.op->name.starts_with("Reduce") && !is_op(node, "ReduceSum"); }

bool belongs_to(const SinceAttribute& row, const Node& node) {
  return row.op == node.op->name || (row.op == "Reduce*" && is_younger_reduction(node));
}

bool is_dilated(const Node& node) {
  const std::vector<int64_t> dilations = ints_attribute(node, "dilations", {});
  return std::any_of(dilations.begin(), dilations.end(), [](int64_t d) { return d != 1; });
}

bool is_quantizer(const Node& node) { return is_op(node, "QuantizeLinear") || is_op(node, "DequantizeLinear"); }

bool is_arithmetic(const Node& node) {
  return is_op(node, "Add") || is_op(node, "Sub") || is_op(node, "Mul") || is_op(node, "Div");
}

int64_t opset_of_forms(const Graph& graph, const Node& node) {
  if (is_op(node, "Split") && may_be_uneven(graph, node)) return 18;
  if (is_younger_reduction(node) && has_input(node, 1)) return 18;
  if (is_op(node, "Pad") && has_input(node, 3)) return 18;
  if (is_op(node, "Pad") && string_attribute(node, "mode", "") == "wrap") return 19;
  if (is_op(node, "Resize") && string_attribute(node, "coordinate_transformation_mode", "") == "half_pixel_symmetric")
    return 19;
  if (is_op(node, "Resize") && (has_attribute(node, "axes") || has_attribute(node, "keep_aspect_ratio_policy")))
    return 18;
  if ((is_op(node, "ScatterND") || is_op(node, "ScatterElements")) && has_attribute(node, "reduction")) {
    const std::string how = string_attribute(node, "reduction", "none");
    return how == "min" || how == "max" ? 18 : 16;
  }
  if (is_op(node, "LpPool") && (is_dilated(node) || int_attribute(node, "ceil_mode", 0) != 0)) return 18;
  if (is_op(node, "Shape") && has_attribute(node, "end")) return 15;
  if (is_op(node, "AveragePool") && is_dilated(node)) return 19;
  if (is_op(node, "GridSample")) {
    const std::optional<Shape>& x = graph.value(node.inputs[0]).shape;
    return x && x->size() == 4 ? 16 : 20;
  }
  return k_lowest;
}

/// Since when there is the dtype at all.
int64_t opset_of_dtype(DType dtype) {
  if (dtype == DType::f4e2m1) return 23;
  if (dtype == DType::s4 || dtype == DType::u4) return 21;
  return is_short_float(dtype) ? 19 : k_lowest;
}

int64_t opset_of_dtypes(const Graph& graph, const Node& node) {
  int64_t opset = k_lowest;
  for (const ValueId v : node.outputs)
    if (v != k_absent) opset = std::max(opset, opset_of_dtype(graph.value(v).dtype));
  for (const ValueId v : node.inputs) {
    if (v == k_absent) continue;
    const DType dtype = graph.value(v).dtype;
    opset = std::max(opset, opset_of_dtype(dtype));
    if (dtype == DType::bf16) opset = std::max<int64_t>(opset, 22);  // Conv and the pools take it since then
    if (is_quantizer(node) && dtype == DType::f16) opset = std::max<int64_t>(opset, 19);
    if (is_quantizer(node) && (dtype == DType::s16 || dtype == DType::u16)) opset = std::max<int64_t>(opset, 21);
    if (is_op(node, "IsInf") && (dtype == DType::f16 || dtype == DType::bf16)) opset = std::max<int64_t>(opset, 20);
    if ((is_arithmetic(node) || is_op(node, "Relu")) && !is_float(dtype) && size_of(dtype) < 4)
      opset = std::max<int64_t>(opset, 14);
  }
  return opset;
}

}  // namespace

int64_t required_opset(const Graph& graph, const Node& node) {
  int64_t opset = std::max(opset_of_forms(graph, node), opset_of_dtypes(graph, node));
  opset = std::max(opset, opset_of_op(node.op->name));
  for (const SinceAttribute& row : k_attributes)
    if (belongs_to(row, node) && int_attribute(node, std::string(row.attribute), row.harmless) != row.harmless)
      opset = std::max(opset, row.opset);
  return opset;
}

void drop_younger_attributes(const Node& node, int64_t opset, Attributes& attributes) {
  for (const SinceAttribute& row : k_attributes)
    if (opset < row.opset && belongs_to(row, node)) attributes.erase(std::string(row.attribute));
  if (opset < 18 && is_op(node, "Split")) attributes.erase("num_outputs");
  if (opset < 19 && is_op(node, "AveragePool")) attributes.erase("dilations");
  if (opset < 20 && is_op(node, "GridSample") && attributes.contains("mode")) {  // absent it is linear in all opsets
    const std::string mode = string_attribute(node, "mode", "linear");
    attributes["mode"] = mode == "linear" ? "bilinear" : mode == "cubic" ? "bicubic" : mode;
  }
}

}  // namespace octet
