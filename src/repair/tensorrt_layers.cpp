// TensorRT's rules on layers, their weights and their biases.

#include "repair/tensorrt_check.h"

namespace octet {
namespace {

bool is_recurrent(const Node& node) { return is_any(node, {"LSTM", "GRU", "RNN"}); }

/// The axis of a weight's several scales in [0, rank), else nothing.
std::optional<size_t> scale_axis(const TensorRtCheck& check, const Node& dequantize) {
  const Tensor* scale = check.constant(dequantize.inputs[1]);
  const std::optional<Shape>& w = check.graph.value(dequantize.inputs[0]).shape;
  if (!scale || scale->size() < 2 || scale->rank() != 1 || !w) return std::nullopt;
  const int64_t axis = int_attribute(dequantize, "axis", 1), rank = static_cast<int64_t>(w->size());
  const int64_t at = axis < 0 ? axis + rank : axis;
  if (at < 0 || at >= rank || (*w)[static_cast<size_t>(at)].value != scale->size()) return std::nullopt;  // R13
  return static_cast<size_t>(at);
}

void check_weight_axis(TensorRtCheck& check, const Node& layer, const Node& dequantize) {
  const std::optional<size_t> axis = scale_axis(check, dequantize);
  if (!axis) return;
  const std::string along = "the weight's scales lie along axis " + std::to_string(*axis);
  if (is_op(layer, "Conv") && *axis != 0)
    check.error(14, layer, along + "; TensorRT wants the output channels, axis 0.",
                "quantize the weight along axis 0 (octet repair does it where the codes show that it was).");
  if (is_op(layer, "ConvTranspose") && *axis == 1)
    check.warning(15, layer, along + ", the output channels; TensorRT 8 wants axis 0 and 8.2 computes wrong results.",
                  "one scale for the tensor is safe everywhere.");
  if (!is_any(layer, {"Gemm", "MatMul"})) return;
  const size_t rank = check.graph.value(dequantize.inputs[0]).shape->size();
  if (rank > 2)
    check.error(16, layer, "a batched weight with several scales.", "one scale for the tensor.");
  else if (const std::optional<size_t> wanted = output_channel_axis(check.graph, layer); wanted && *axis != *wanted)
    check.error(16, layer,
                along + ", over which the product sums; they belong to axis " + std::to_string(*wanted) + ".",
                "quantize the weight along its output dimension.");
}

void check_operands(TensorRtCheck& check, const Node& node) {
  const Node* x = check.producer(node.inputs[0], "DequantizeLinear");
  const Node* w = check.producer(node.inputs[1], "DequantizeLinear");
  if (w && check.derives_from_constant(node.inputs[1])) check_weight_axis(check, node, *w);
  if ((x != nullptr) == (w != nullptr)) return;
  const bool is_product = is_any(node, {"MatMul", "Gemm"}) && !check.derives_from_constant(node.inputs[1]);
  if (is_product) {
    check.warning(36, node,
                  std::string("only operand ") + (x ? "0" : "1") + " is quantized: the product runs in float.",
                  "quantize both operands or none.");
  } else {
    check.warning(19, node,
                  x ? "the data is quantized, the weight is not: the layer runs in float."
                    : "the weight is quantized, the data is not: the layer runs in float on dequantized weights.",
                  x ? "quantize the weight." : "put a pair on the layer's input.");
    const Node* source = x ? check.producer(x->inputs[0], "QuantizeLinear") : nullptr;
    if (source && check.producer(source->inputs[0]) && is_layer(*check.producer(source->inputs[0])))
      check.warning(26, node, "a pair stands on the output of the layer before, none on this weight.",
                    "quantize the inputs of layers: data and weight.");
  }
}

void check_bias(TensorRtCheck& check, const Node& node) {
  const Node* dequantize = check.producer(input(node, 2), "DequantizeLinear");
  if (!dequantize) return;
  check.error(20, node,
              "the bias is " + std::string(name(check.graph.value(dequantize->inputs[0]).dtype)) +
                  " behind DequantizeLinear; TensorRT takes float biases only.",
              "store code * scale as float (octet repair --target tensorrt).");
}

}  // namespace

void check_layer(TensorRtCheck& check, const Node& node) {
  if (is_recurrent(node)) {
    for (const ValueId v : node.inputs)
      if (check.producer(v, "DequantizeLinear"))
        return check.error(38, node,
                           "a quantized " + std::string(node.op->name) + "; TensorRT has no int8 kernel for it.",
                           "take the pairs off its inputs.");
    return;
  }
  if (!is_layer(node) || node.inputs.size() < 2) return;
  check_operands(check, node);
  if (!is_op(node, "MatMul")) check_bias(check, node);
}

void check_constants(TensorRtCheck& check) {
  for (size_t v = 0; v < check.graph.values.size(); ++v) {
    const Value& value = check.graph.values[v];
    if (!value.constant || value.dtype != DType::s8 || value.constant->size() < 2) continue;
    bool codes = false;
    const Node* other = nullptr;
    for (const NodeId id : check.uses.consumers[v]) {
      const Node& reader = check.graph.node(id);
      if (is_dequantize(reader))
        codes = codes || reader.inputs[0] == static_cast<ValueId>(v);
      else if (!is_quantize(reader))
        other = &reader;
    }
    if (other)
      check.error(18, *other,
                  "reads the int8 constant '" + value.name + "'" +
                      (codes ? ", which also feeds DequantizeLinear" : "") +
                      "; TensorRT lets int8 constants feed DequantizeLinear only.",
                  "give it a constant of its own type.");
  }
}

}  // namespace octet
