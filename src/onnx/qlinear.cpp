// Operator-form quantization becomes Q/DQ form: y = Q(op(DQ(a), DQ(b), ...)), which is what these ops are defined by.
//   QLinearConv and QGemm hold an s32 bias on the grid a_scale * b_scale; its DequantizeLinear gets that product as its
//   scale (times alpha for QGemm, whose alpha scales the product). The scale of a weight is per output channel (Conv:
//   axis 0) or per column (MatMul, Gemm: the last axis).
// Source: ONNX operators QLinearConv and QLinearMatMul, opset 10; onnxruntime docs/ContribOperators.md (com.microsoft).

#include "onnx/oddity.h"

namespace octet {
namespace {

/// DequantizeLinear of inputs i, i + 1 (scale) and i + 2 (zero point). axis counts where the scale is a list.
Result<ValueId> emit_dequantize(Importer& importer, const ForeignNode& node, size_t i, int64_t axis) {
  if (!importer.has_input(node, i) || !importer.has_input(node, i + 1))
    return importer.error(node, "inputs " + std::to_string(i) + " and " + std::to_string(i + 1) + " are required",
                          ErrorCode::bad_model);
  ForeignNode dequantize{"DequantizeLinear", "", node.opset, {node.inputs[i], node.inputs[i + 1]}, {}, {}};
  if (importer.has_input(node, i + 2)) dequantize.inputs.push_back(node.inputs[i + 2]);
  const Shape* scale = importer.shape(node, i + 1);
  if (scale && scale->size() == 1 && (*scale)[0].value != 1) dequantize.attributes["axis"] = axis;
  const ValueId real = importer.add_value(node, "dq" + std::to_string(i));
  dequantize.outputs = {real};
  if (Result<Done> ok = importer.emit(std::move(dequantize)); !ok) return ok.error();
  return real;
}

/// DequantizeLinear of an s32 bias with the scale a_scale * b_scale, which must be constants.
Result<ValueId> emit_bias(Importer& importer, const ForeignNode& node, size_t bias, size_t a_scale, size_t b_scale,
                          float alpha = 1.0f) {
  const Tensor* a = importer.constant(node, a_scale);
  const Tensor* b = importer.constant(node, b_scale);
  if (!a || !b || a->dtype() != DType::f32 || b->dtype() != DType::f32 || a->size() != 1)
    return importer.error(node, "has a bias, whose scale needs constant f32 scales of the inputs");
  std::vector<float> scales;
  for (const float s : b->as<float>()) scales.push_back(a->at<float>(0) * s * alpha);
  const ValueId scale = importer.add_constant(node, "bias_scale", f32_tensor(b->dims(), scales));
  const ValueId real = importer.add_value(node, "dq" + std::to_string(bias));
  ForeignNode dequantize{"DequantizeLinear", "", node.opset, {node.inputs[bias], scale}, {real}, {}};
  if (scales.size() != 1) dequantize.attributes["axis"] = int64_t{0};
  if (Result<Done> ok = importer.emit(std::move(dequantize)); !ok) return ok.error();
  return real;
}

/// op(inputs) -> value; op goes through its own oddity, so that older spellings of attributes are read.
Result<Done> emit_body(Importer& importer, const ForeignNode& node, std::string_view op, std::vector<ValueId> inputs,
                       ValueId output) {
  ForeignNode body{std::string(op), node.name, node.opset, std::move(inputs), {output}, node.attributes};
  const Oddity oddity = find_oddity(op);
  return oddity ? oddity(importer, std::move(body)) : importer.emit(std::move(body));
}

/// op(inputs) -> QuantizeLinear by inputs i (scale) and i + 1 (zero point) -> the node's output.
Result<Done> emit_quantized(Importer& importer, const ForeignNode& node, std::string_view op,
                            std::vector<ValueId> inputs, size_t i) {
  if (!importer.has_input(node, i) || node.outputs.size() != 1 || node.outputs[0] == k_absent)
    return importer.error(node, "expected a scale as input " + std::to_string(i) + " and one output",
                          ErrorCode::bad_model);
  const ValueId real = importer.add_value(node, "real");
  if (Result<Done> ok = emit_body(importer, node, op, std::move(inputs), real); !ok) return ok;
  ForeignNode quantize{"QuantizeLinear", "", node.opset, {real, node.inputs[i]}, node.outputs, {}};
  if (importer.has_input(node, i + 1)) quantize.inputs.push_back(node.inputs[i + 1]);
  return importer.emit(std::move(quantize));
}

Result<Done> refuse_channels_last(Importer& importer, ForeignNode& node) {
  const Result<const int64_t*> last = attribute_of_kind<int64_t>(importer, node, "channels_last");
  if (!last) return last.error();
  if (*last && **last != 0) return importer.error(node, "channels_last = 1 is not supported");
  node.attributes.erase("channels_last");
  return Done{};
}

/// a and b dequantized, op, quantized.
Result<Done> convert_pair(Importer& importer, const ForeignNode& node, std::string_view op) {
  const Result<ValueId> a = emit_dequantize(importer, node, 0, 0);
  if (!a) return a.error();
  const Shape* b_shape = importer.shape(node, 3);
  const int64_t last_axis = b_shape && !b_shape->empty() ? static_cast<int64_t>(b_shape->size()) - 1 : 0;
  const Result<ValueId> b = emit_dequantize(importer, node, 3, last_axis);
  if (!b) return b.error();
  return emit_quantized(importer, node, op, {*a, *b}, 6);
}

/// x dequantized, op, quantized by inputs 3 and 4.
Result<Done> convert_unary(Importer& importer, const ForeignNode& node, std::string_view op) {
  const Result<ValueId> x = emit_dequantize(importer, node, 0, 1);
  if (!x) return x.error();
  return emit_quantized(importer, node, op, {*x}, 3);
}

}  // namespace

Result<Done> convert_qlinear_conv(Importer& importer, ForeignNode node) {
  const Result<ValueId> x = emit_dequantize(importer, node, 0, 1);
  if (!x) return x.error();
  const Result<ValueId> w = emit_dequantize(importer, node, 3, 0);
  if (!w) return w.error();
  std::vector<ValueId> inputs = {*x, *w};
  if (importer.has_input(node, 8)) {
    const Result<ValueId> bias = emit_bias(importer, node, 8, 1, 4);
    if (!bias) return bias.error();
    inputs.push_back(*bias);
  }
  return emit_quantized(importer, node, "Conv", std::move(inputs), 6);
}

Result<Done> convert_qlinear_matmul(Importer& importer, ForeignNode node) {
  return convert_pair(importer, node, "MatMul");
}
Result<Done> convert_qlinear_add(Importer& importer, ForeignNode node) { return convert_pair(importer, node, "Add"); }
Result<Done> convert_qlinear_mul(Importer& importer, ForeignNode node) { return convert_pair(importer, node, "Mul"); }

Result<Done> convert_qlinear_average_pool(Importer& importer, ForeignNode node) {
  if (Result<Done> ok = refuse_channels_last(importer, node); !ok) return ok;
  const Result<ValueId> x = emit_dequantize(importer, node, 0, 1);
  if (!x) return x.error();
  return emit_quantized(importer, node, "AveragePool", {*x}, 3);
}

Result<Done> convert_qlinear_global_average_pool(Importer& importer, ForeignNode node) {
  if (Result<Done> ok = refuse_channels_last(importer, node); !ok) return ok;
  const Result<ValueId> x = emit_dequantize(importer, node, 0, 1);
  if (!x) return x.error();
  return emit_quantized(importer, node, "GlobalAveragePool", {*x}, 3);
}

Result<Done> convert_qlinear_sigmoid(Importer& importer, ForeignNode node) {
  return convert_unary(importer, node, "Sigmoid");
}

Result<Done> convert_qlinear_leaky_relu(Importer& importer, ForeignNode node) {
  return convert_unary(importer, node, "LeakyRelu");
}

// The attribute opset says which Softmax is meant: before 13 everything behind the axis is one row.
Result<Done> convert_qlinear_softmax(Importer& importer, ForeignNode node) {
  const Result<const int64_t*> opset = attribute_of_kind<int64_t>(importer, node, "opset");
  if (!opset) return opset.error();
  if (*opset) node.opset = **opset;
  node.attributes.erase("opset");
  return convert_unary(importer, node, "Softmax");
}

// Inputs: y_scale, y_zero_point, then x, scale and zero point of each part.
Result<Done> convert_qlinear_concat(Importer& importer, ForeignNode node) {
  if (node.inputs.size() < 5 || node.inputs.size() % 3 != 2)
    return importer.error(
        node,
        "has " + std::to_string(node.inputs.size()) + " inputs, expected a scale, a zero point and three for each part",
        ErrorCode::bad_model);
  std::vector<ValueId> parts;
  for (size_t i = 2; i < node.inputs.size(); i += 3) {
    const Result<ValueId> part = emit_dequantize(importer, node, i, 1);
    if (!part) return part.error();
    parts.push_back(*part);
  }
  return emit_quantized(importer, node, "Concat", std::move(parts), 0);
}

Result<Done> convert_qgemm(Importer& importer, ForeignNode node) {
  const Result<const float*> alpha = attribute_of_kind<float>(importer, node, "alpha");
  if (!alpha) return alpha.error();
  const float factor = *alpha ? **alpha : 1.0f;
  const auto trans_b = node.attributes.find("transB");
  const bool rows_are_outputs = trans_b != node.attributes.end() && trans_b->second == Attribute(int64_t{1});
  const Result<ValueId> a = emit_dequantize(importer, node, 0, 0);
  if (!a) return a.error();
  const Result<ValueId> b = emit_dequantize(importer, node, 3, rows_are_outputs ? 0 : 1);
  if (!b) return b.error();
  std::vector<ValueId> inputs = {*a, *b};
  if (importer.has_input(node, 6)) {
    const Result<ValueId> bias = emit_bias(importer, node, 6, 1, 4, factor);
    if (!bias) return bias.error();
    inputs.push_back(*bias);
  }
  if (importer.has_input(node, 7)) return emit_quantized(importer, node, "Gemm", std::move(inputs), 7);
  if (node.outputs.size() != 1) return importer.error(node, "expected one output", ErrorCode::bad_model);
  return emit_body(importer, node, "Gemm", std::move(inputs), node.outputs[0]);  // without y_scale y is float
}

}  // namespace octet
