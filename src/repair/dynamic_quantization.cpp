// src/repair/dynamic_quantization.cpp: dynamic quantization as the float layers it stands for, so that static ranges
// can be found for them (--recalibrate):
//   q, s, z = DynamicQuantizeLinear(x);  i = ConvInteger(q, w, z, wz);  y = Cast(i) * (s * ws)
// becomes y = Conv(x, (w - wz) * ws), and likewise MatMulInteger. The weight keeps its numbers; what is lost is the
// rounding of x. Without --recalibrate such a file runs as it is. Source: ONNX operators DynamicQuantizeLinear-11,
// ConvInteger-10, MatMulInteger-10; onnxruntime quantization/operators/conv.py and matmul.py write this form.

#include <algorithm>

#include "repair/float_form.h"
#include "repair/parameters.h"

namespace octet {
namespace {

/// One integer product and what turns it into real numbers.
struct Product {
  NodeId layer = -1, cast = -1, last = -1;  // last: the Mul by the scales
  ValueId w_scale = k_absent;               // absent: 1
};

/// The factor beside the activation's scale in m = s or m = s * ws.
std::optional<ValueId> weight_scale(const Editor& editor, ValueId m, ValueId s) {
  if (m == s) return k_absent;
  const Node* scales = editor.producer(m, "Mul");
  if (!scales) return std::nullopt;
  if (scales->inputs[0] == s) return scales->inputs[1];
  return scales->inputs[1] == s ? std::optional(scales->inputs[0]) : std::nullopt;
}

std::optional<Product> match_product(const Editor& editor, NodeId layer, const Node& quantize) {
  const Graph& graph = editor.graph();
  const Node& node = editor.node(layer);
  if (!is_any(node, {"ConvInteger", "MatMulInteger"}) || node.inputs[0] != quantize.outputs[0] ||
      input(node, 2) != quantize.outputs[2] || !graph.constant(node.inputs[1]) ||
      (input(node, 3) != k_absent && !graph.constant(input(node, 3))))
    return std::nullopt;
  const NodeId cast = editor.only_reader(node.outputs[0]);
  if (cast < 0 || !is_op(editor.node(cast), "Cast") || string_attribute(editor.node(cast), "to", "") != "f32")
    return std::nullopt;
  const ValueId real = editor.node(cast).outputs[0];
  const NodeId mul = editor.only_reader(real);
  if (mul < 0 || !is_op(editor.node(mul), "Mul")) return std::nullopt;
  const Node& scaled = editor.node(mul);
  const std::optional<ValueId> ws =
      weight_scale(editor, scaled.inputs[scaled.inputs[0] == real ? 1 : 0], quantize.outputs[1]);
  if (!ws || (*ws != k_absent && !constant_of(graph, *ws, DType::f32))) return std::nullopt;
  return Product{layer, cast, mul, *ws};
}

/// (w - wz) * ws; nothing when zero points or scales are neither one nor one per output channel.
std::optional<Tensor> real_weight(const Graph& graph, const Node& layer, ValueId w_scale) {
  const Tensor& w = *graph.constant(layer.inputs[1]);
  const bool is_conv = is_op(layer, "ConvInteger");
  if (w.rank() < 2 || w.size() == 0) return std::nullopt;
  const int64_t channels = is_conv ? w.dims().front() : w.dims().back();
  const int64_t per_channel = w.size() / w.dims().front();
  const std::optional<std::vector<int64_t>> codes = constant_ints(graph, layer.inputs[1]);
  std::vector<int64_t> zero{0};
  if (input(layer, 3) != k_absent) zero = constant_ints(graph, input(layer, 3)).value_or(std::vector<int64_t>());
  std::vector<float> scale{1.0f};
  if (w_scale != k_absent) {
    const std::span<const float> values = constant_of(graph, w_scale, DType::f32)->as<float>();
    scale.assign(values.begin(), values.end());
  }
  const auto fits = [&](size_t n) { return n == 1 || static_cast<int64_t>(n) == channels; };
  if (!codes || !fits(zero.size()) || !fits(scale.size())) return std::nullopt;
  std::vector<float> real;
  for (size_t i = 0; i < codes->size(); ++i) {
    const auto at = static_cast<int64_t>(i);
    const auto channel = static_cast<size_t>(is_conv ? at / per_channel : at % channels);
    real.push_back(static_cast<float>((*codes)[i] - zero[zero.size() == 1 ? 0 : channel]) *
                   scale[scale.size() == 1 ? 0 : channel]);
  }
  return f32_tensor(w.dims(), real);
}

Error unknown_use(const Graph& graph, const Node& quantize, const std::string& where) {
  return Error{ErrorCode::unsupported,
               "node '" + label(graph, quantize) + "' (DynamicQuantizeLinear): " + where +
                   " does not use it as dynamic quantization does (codes into ConvInteger or MatMulInteger with a "
                   "constant weight, its sums through Cast times both scales), so the layer has no float form; run the "
                   "file as it is"};
}

/// The products that read q, s and z; an error where one of the three serves something else.
Result<std::vector<Product>> products_of(const Editor& editor, const Node& quantize) {
  const Graph& graph = editor.graph();
  std::vector<Product> products;
  for (const NodeId reader : editor.readers(quantize.outputs[0])) {
    const std::optional<Product> product = match_product(editor, reader, quantize);
    if (!product) return unknown_use(graph, quantize, "node '" + label(graph, editor.node(reader)) + "'");
    products.push_back(*product);
  }
  for (const ValueId v : quantize.outputs)
    if (editor.is_output(v)) return unknown_use(graph, quantize, "output '" + graph.value(v).name + "'");
  for (const NodeId reader : editor.readers(quantize.outputs[1])) {
    const Node& node = editor.node(reader);
    const bool known = is_op(node, "Mul") && std::any_of(products.begin(), products.end(), [&](const Product& p) {
                         const std::vector<ValueId>& last = editor.node(p.last).inputs;
                         return reader == p.last || last[0] == node.outputs[0] || last[1] == node.outputs[0];
                       });
    if (!known) return unknown_use(graph, quantize, "node '" + label(graph, node) + "'");
  }
  return products;
}

}  // namespace

Result<Done> dynamic_quantization(Graph& graph, RepairLog& log) {
  Editor editor(graph);
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (!is_op(editor.node(id), "DynamicQuantizeLinear")) continue;
    const Node quantize = editor.node(id);
    const Result<std::vector<Product>> products = products_of(editor, quantize);
    if (!products) return products.error();
    for (const Product& product : *products) {
      const Node layer = editor.node(product.layer), last = editor.node(product.last);
      std::optional<Tensor> weight = real_weight(graph, layer, product.w_scale);
      if (!weight) return unknown_use(graph, quantize, "node '" + label(graph, layer) + "'");
      const std::string op = is_op(layer, "ConvInteger") ? "Conv" : "MatMul";
      const ValueId w = editor.add_constant(graph.value(layer.inputs[1]).name + "_real", std::move(*weight));
      log.add(label(graph, layer), "DynamicQuantizeLinear, " + std::string(layer.op->name) + ", Cast, Mul",
              op + " with the weight's numbers", "the input is no longer rounded by the range of each run");
      editor.replace(product.last, make_node(op, layer.name, {quantize.inputs[0], w}, last.outputs, layer.attributes));
      editor.remove(product.cast);
      editor.remove(product.layer);
    }
  }
  return Done{};
}

}  // namespace octet
