// src/repair/integer_products.cpp: an integer product with constant scales becomes the float layer between
// DequantizeLinears that it is:
//   Cast(MatMulInteger(a, w, z, wz)) * s [* ws]    MatMul(DequantizeLinear(a, s, z), DequantizeLinear(w, ws, wz))
// and likewise ConvInteger. The factors may stand in one Mul or several, one number or one for each output channel.
// What the codes of a are scaled by is its QuantizeLinear's scale; of codes from elsewhere it is 1, and the weight has
// the whole factor. Scales that are found in each run are dynamic quantization and stay.

#include <algorithm>
#include <cmath>

#include "repair/parameters.h"
#include "repair/repair.h"

namespace octet {
namespace {

struct Product {
  NodeId layer = -1, cast = -1;
  std::vector<NodeId> muls;
  int64_t channels = 0, axis = 0;  // of the weight's outputs
  std::vector<double> factor;      // one, or one for each output channel
  CodeParams a;
};

/// The factors of a constant beside the sums: one, or one for each output channel. Empty when it is anything else.
std::vector<double> factors_of(const Graph& graph, ValueId v, const Product& product, bool is_conv) {
  const Tensor* tensor = constant_of(graph, v, DType::f32);
  if (!tensor) return {};
  if (tensor->size() == 1) return to_doubles(*tensor);
  const Dims& dims = tensor->dims();
  const size_t behind = is_conv ? graph.value(graph.node(product.layer).inputs[1]).shape->size() - 2 : 0;
  if (tensor->size() != product.channels || dims.size() < behind + 1) return {};
  return dims[dims.size() - 1 - behind] == product.channels ? to_doubles(*tensor) : std::vector<double>();
}

bool multiply(std::vector<double>& product, const std::vector<double>& by) {
  if (!are_positive(by)) return false;
  if (product.size() < by.size()) product.assign(by.size(), product[0]);
  for (size_t i = 0; i < product.size(); ++i) product[i] *= by[by.size() == 1 ? 0 : i];
  return true;
}

/// Scale and zero point of the codes that the layer reads.
std::optional<CodeParams> codes_of(const Editor& editor, const Node& layer) {
  const Graph& graph = editor.graph();
  const ValueId a = layer.inputs[0];
  CodeParams params{1.0f, 0, graph.value(a).dtype};
  if (graph.constant(a) || editor.producer(a, "DynamicQuantizeLinear")) return std::nullopt;
  if (input(layer, 2) != k_absent) {
    const std::optional<std::vector<int64_t>> zero = constant_ints(graph, layer.inputs[2]);
    if (!zero || zero->size() != 1) return std::nullopt;
    params.zero_point = static_cast<int32_t>((*zero)[0]);
  }
  const Node* quantize = editor.producer(a, "QuantizeLinear");
  const std::optional<CodeParams> own = quantize ? code_params(graph, *quantize) : std::nullopt;
  if (own && own->zero_point == params.zero_point && own->scale > 0) params.scale = own->scale;
  return params;
}

std::optional<Product> match(const Editor& editor, NodeId id) {
  const Graph& graph = editor.graph();
  const Node& layer = editor.node(id);
  const bool is_conv = is_op(layer, "ConvInteger");
  const Tensor* w = is_conv || is_op(layer, "MatMulInteger") ? graph.constant(layer.inputs[1]) : nullptr;
  const std::optional<CodeParams> a = w ? codes_of(editor, layer) : std::nullopt;
  if (!a || w->rank() < 2 || w->size() == 0) return std::nullopt;
  Product made;
  made.layer = id;
  made.a = *a;
  made.axis = is_conv ? 0 : static_cast<int64_t>(w->rank()) - 1;
  made.channels = w->dims()[static_cast<size_t>(made.axis)];
  made.factor = {1.0};
  made.cast = editor.only_reader(layer.outputs[0]);
  if (made.cast < 0 || !is_op(editor.node(made.cast), "Cast") ||
      string_attribute(editor.node(made.cast), "to", "") != "f32")
    return std::nullopt;
  ValueId at = editor.node(made.cast).outputs[0];
  for (NodeId next = editor.only_reader(at); next >= 0 && is_op(editor.node(next), "Mul");
       next = editor.only_reader(at)) {
    const Node& mul = editor.node(next);
    const std::vector<double> by = factors_of(graph, mul.inputs[mul.inputs[0] == at ? 1 : 0], made, is_conv);
    if (!multiply(made.factor, by)) break;
    made.muls.push_back(next);
    at = mul.outputs[0];
  }
  return made.muls.empty() ? std::nullopt : std::optional(made);
}

/// The weight's zero points, one for each of `count` scales; nothing when they do not go with them.
std::optional<std::vector<int32_t>> weight_zeros(const Graph& graph, const Node& layer, const Product& product,
                                                 size_t& count) {
  std::vector<int64_t> zero{0};
  if (input(layer, 3) != k_absent) zero = constant_ints(graph, layer.inputs[3]).value_or(std::vector<int64_t>());
  if (zero.size() != 1 && static_cast<int64_t>(zero.size()) != product.channels) return std::nullopt;
  count = std::max(count, zero.size());
  std::vector<int32_t> made(count);
  for (size_t i = 0; i < count; ++i) made[i] = static_cast<int32_t>(zero[zero.size() == 1 ? 0 : i]);
  return made;
}

bool rewrite(Editor& editor, const Product& product, RepairLog& log) {
  Graph& graph = editor.graph();
  const Node layer = editor.node(product.layer), last = editor.node(product.muls.back());
  size_t count = product.factor.size();
  const std::optional<std::vector<int32_t>> zeros = weight_zeros(graph, layer, product, count);
  if (!zeros) return false;
  std::vector<float> scales;
  for (size_t i = 0; i < count; ++i)
    scales.push_back(static_cast<float>(product.factor[product.factor.size() == 1 ? 0 : i] / double{product.a.scale}));
  if (!std::all_of(scales.begin(), scales.end(), [](float s) { return std::isnormal(s); })) return false;
  const Dims dims = count > 1 ? Dims{static_cast<int64_t>(count)} : Dims{};
  const std::string a_name = graph.value(layer.inputs[0]).name, w_name = graph.value(layer.inputs[1]).name;
  const DType w_dtype = graph.value(layer.inputs[1]).dtype;
  const auto dequantized = [&](ValueId codes, const std::string& name, Tensor scale, Tensor zero, Attributes axis) {
    const ValueId real = editor.add_value(name + "_real", DType::f32, graph.value(codes).shape);
    editor.insert_before(product.layer, make_node("DequantizeLinear", "",
                                                  {codes, editor.add_constant(name + "_scale", std::move(scale)),
                                                   editor.add_constant(name + "_zero_point", std::move(zero))},
                                                  {real}, std::move(axis)));
    return real;
  };
  const ValueId a = dequantized(layer.inputs[0], a_name, scalar_f32(product.a.scale),
                                code_scalar(product.a.dtype, product.a.zero_point), {});
  const ValueId w = dequantized(layer.inputs[1], w_name, f32_tensor(dims, scales), code_tensor(w_dtype, dims, *zeros),
                                count > 1 ? Attributes{{"axis", product.axis}} : Attributes{});
  const std::string op = is_op(layer, "ConvInteger") ? "Conv" : "MatMul";
  log.add(label(graph, layer), std::string(layer.op->name) + ", Cast, Mul by constant scales",
          op + " between DequantizeLinears, " + params_text(product.a),
          "the last bits of the product, whose sums are float");
  editor.replace(product.layer, make_node(op, layer.name, {a, w}, last.outputs, layer.attributes));
  editor.remove(product.cast);
  for (const NodeId mul : product.muls) editor.remove(mul);
  return true;
}

}  // namespace

Result<Done> integer_products(Graph& graph, RepairLog& log) {
  Editor editor(graph);
  for (NodeId id = 0; id < editor.node_count(); ++id)
    if (const std::optional<Product> product = match(editor, id)) rewrite(editor, *product, log);
  return Done{};
}

}  // namespace octet
