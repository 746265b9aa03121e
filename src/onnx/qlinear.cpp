// Operator-form quantization becomes Q/DQ form: y = Q(op(DQ(a), DQ(b), ...)), which is what these ops are defined by.
//   QLinearConv and QGemm hold an s32 bias on the grid a_scale * b_scale; its DequantizeLinear gets that product as its
//   scale (times alpha for QGemm, whose alpha scales the product). The scale of a weight is per output channel (Conv:
//   axis 0) or per column (MatMul, Gemm: the last axis).
// Source: ONNX operators QLinearConv and QLinearMatMul, opset 10; onnxruntime docs/ContribOperators.md (com.microsoft).

#include <algorithm>

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
  const Shape* shape = importer.shape(node, bias);  // [outputs], of QGemm also [1, outputs]
  if (scales.size() != 1) dequantize.attributes["axis"] = shape && shape->size() == 2 ? int64_t{1} : int64_t{0};
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

/// Takes channels_last: whether the channels are the last axis of x and y.
Result<bool> take_channels_last(Importer& importer, ForeignNode& node) {
  const Result<const int64_t*> last = attribute_of_kind<int64_t>(importer, node, "channels_last");
  if (!last) return last.error();
  const bool is_last = *last && **last != 0;
  node.attributes.erase("channels_last");
  if (is_last && (!importer.shape(node, 0) || importer.shape(node, 0)->size() < 3))
    return importer.error(node, "channels_last needs an input of known rank, 3 or more");
  return is_last;
}

Result<ValueId> emit_transposed(Importer& importer, const ForeignNode& node, ValueId x, size_t rank, bool to_last) {
  std::vector<int64_t> perm{0};
  if (!to_last) perm.push_back(static_cast<int64_t>(rank) - 1);
  for (size_t axis = 1; axis + 1 < rank; ++axis) perm.push_back(static_cast<int64_t>(axis + (to_last ? 1 : 0)));
  if (to_last) perm.push_back(1);
  const ValueId moved = importer.add_value(node, to_last ? "channels_last" : "channels_first");
  if (Result<Done> ok = importer.emit({"Transpose", "", node.opset, {x}, {moved}, {{"perm", perm}}}); !ok)
    return ok.error();
  return moved;
}

/// The body with inputs[0] brought to channels first and its result back where the channels are the last axis, then
/// quantized by inputs i and i + 1 of the node.
Result<Done> emit_in_layout(Importer& importer, const ForeignNode& node, std::string_view op,
                            std::vector<ValueId> inputs, size_t i, bool channels_last) {
  if (!channels_last) return emit_quantized(importer, node, op, std::move(inputs), i);
  const size_t rank = importer.shape(node, 0)->size();
  const Result<ValueId> x = emit_transposed(importer, node, inputs[0], rank, false);
  if (!x) return x.error();
  inputs[0] = *x;
  const ValueId first = importer.add_value(node, "channels_first_result");
  if (Result<Done> ok = emit_body(importer, node, op, std::move(inputs), first); !ok) return ok;
  const Result<ValueId> real = emit_transposed(importer, node, first, rank, true);
  if (!real) return real.error();
  ForeignNode quantize{"QuantizeLinear", "", node.opset, {*real, node.inputs[i]}, node.outputs, {}};
  if (importer.has_input(node, i + 1)) quantize.inputs.push_back(node.inputs[i + 1]);
  return importer.emit(std::move(quantize));
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
  const Result<bool> last = take_channels_last(importer, node);
  if (!last) return last.error();
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
  return emit_in_layout(importer, node, "Conv", std::move(inputs), 6, *last);
}

Result<Done> convert_qlinear_matmul(Importer& importer, ForeignNode node) {
  return convert_pair(importer, node, "MatMul");
}
Result<Done> convert_qlinear_add(Importer& importer, ForeignNode node) { return convert_pair(importer, node, "Add"); }
Result<Done> convert_qlinear_mul(Importer& importer, ForeignNode node) { return convert_pair(importer, node, "Mul"); }

namespace {

Result<std::vector<int64_t>> ints_or(const Importer& importer, const ForeignNode& node, const std::string& key,
                                     size_t count, int64_t otherwise) {
  const auto given = attribute_of_kind<std::vector<int64_t>>(importer, node, key);
  if (!given) return given.error();
  std::vector<int64_t> made = *given ? **given : std::vector<int64_t>(count, otherwise);
  if (made.size() == count) return made;
  return importer.error(
      node,
      "attribute '" + key + "' has " + std::to_string(made.size()) + " numbers, expected " + std::to_string(count),
      ErrorCode::bad_model);
}

bool is_one(const ForeignNode& node, const std::string& key) {
  const auto found = node.attributes.find(key);
  return found != node.attributes.end() && found->second == Attribute(int64_t{1});
}

/// QLinearAveragePool with ceil_mode and count_include_pad divides by the whole window, AveragePool by what lies within
/// the padded input. Padding up to the last window's end makes them one. Source: onnxruntime's qlinear_pool.cc.
Result<Done> pad_to_last_window(Importer& importer, ForeignNode& node, bool channels_last) {
  if (!is_one(node, "ceil_mode") || !is_one(node, "count_include_pad")) return Done{};
  const Result<const std::string*> auto_pad = attribute_of_kind<std::string>(importer, node, "auto_pad");
  if (!auto_pad) return auto_pad.error();
  if (*auto_pad && **auto_pad == "VALID") {
    node.attributes.erase("auto_pad");
    node.attributes.erase("pads");
  } else if (*auto_pad && **auto_pad != "NOTSET" && !(*auto_pad)->empty()) {
    return Done{};  // SAME: no window reaches beyond the padding
  }
  const Shape* x = importer.shape(node, 0);
  const std::optional<Dims> dims = x && x->size() > 2 ? known_dims(Shape(x->begin() + 1, x->end())) : std::nullopt;
  if (!dims) return importer.error(node, "ceil_mode with count_include_pad needs an input of known height and width");
  const size_t axes = dims->size() - 1;
  const Result<std::vector<int64_t>> kernel = ints_or(importer, node, "kernel_shape", axes, 1);
  if (!kernel) return kernel.error();
  const Result<std::vector<int64_t>> strides = ints_or(importer, node, "strides", axes, 1);
  if (!strides) return strides.error();
  Result<std::vector<int64_t>> pads = ints_or(importer, node, "pads", 2 * axes, 0);
  if (!pads) return pads.error();
  for (size_t i = 0; i < axes; ++i) {
    const int64_t from = (*dims)[channels_last ? i : i + 1] + (*pads)[i], stride = (*strides)[i];
    const int64_t room = from + (*pads)[axes + i] - (*kernel)[i];
    if (stride < 1 || room <= -stride) return Done{};  // AveragePool names what is wrong
    int64_t last = (room + stride - 1) / stride;  // index of the last window, which has to begin before the padding
    if (last * stride >= from) --last;
    (*pads)[axes + i] = std::max<int64_t>(last * stride + (*kernel)[i] - from, 0);
  }
  node.attributes["pads"] = *std::move(pads);
  node.attributes.erase("ceil_mode");
  return Done{};
}

/// x dequantized, brought to channels first where it is not so, pooled, brought back, quantized.
Result<Done> convert_pool(Importer& importer, ForeignNode node, std::string_view op) {
  const Result<bool> last = take_channels_last(importer, node);
  if (!last) return last.error();
  if (op == "AveragePool")
    if (Result<Done> ok = pad_to_last_window(importer, node, *last); !ok) return ok;
  const Result<ValueId> x = emit_dequantize(importer, node, 0, 1);
  if (!x) return x.error();
  return emit_in_layout(importer, node, op, {*x}, 3, *last);
}

}  // namespace

Result<Done> convert_qlinear_average_pool(Importer& importer, ForeignNode node) {
  return convert_pool(importer, std::move(node), "AveragePool");
}

Result<Done> convert_qlinear_global_average_pool(Importer& importer, ForeignNode node) {
  return convert_pool(importer, std::move(node), "GlobalAveragePool");
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

// Inputs: condition, then x and y with scale and zero point each, then z_scale and z_zero_point.
Result<Done> convert_qlinear_where(Importer& importer, ForeignNode node) {
  if (!importer.has_input(node, 0)) return importer.error(node, "input 0 is required", ErrorCode::bad_model);
  const Result<ValueId> x = emit_dequantize(importer, node, 1, 0);
  if (!x) return x.error();
  const Result<ValueId> y = emit_dequantize(importer, node, 4, 0);
  if (!y) return y.error();
  return emit_quantized(importer, node, "Where", {node.inputs[0], *x, *y}, 7);
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
