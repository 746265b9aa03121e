// src/repair/biases.cpp: an integer layer adds its bias in units of x_scale * w_scale. A bias that lies elsewhere
// (float, uint8 or int8 with parameters of its own, int32 on another grid) is rounded to that grid once and stored as
// int32 behind DequantizeLinear, so that the file and every engine that runs it agree. A bias on the grid, or one whose
// codes would not fit, stays as it is; so does the float bias of a 2-D convolution without a residual Add behind it,
// since octet's integer layer adds it without rounding it to the grid (passes/fuse_quant_conv.cpp), that of a
// ConvTranspose, which becomes such a layer or runs in float (passes/conv_transpose_to_conv.cpp), and that of a
// convolution of one or three axes, which runs in float. A MatMul with the Add of a vector behind it becomes a Gemm
// (passes/matmul_to_gemm.cpp), so its bias is one.

#include <algorithm>
#include <cmath>

#include "repair/layer_grid.h"
#include "repair/repair.h"

namespace octet {
namespace {

constexpr double k_same_grid = 1e-5;  // relative; a float product differs by 2^-24

/// Where a layer's bias lies: input `at` of the layer itself, or of the Add behind a MatMul.
struct Place {
  NodeId node;
  size_t at;
};

struct Bias {
  std::vector<double> real;
  std::string text;
  bool on_grid = false;
};

/// The bias as real numbers, one for each channel.
std::optional<Bias> bias_of(const Editor& editor, ValueId value, const std::vector<float>& grid) {
  const Graph& graph = editor.graph();
  // [N, 1] goes along the rows and is none of the channels, whatever N is.
  const std::optional<Shape>& shape = graph.value(value).shape;
  if (!shape || shape->size() > 2 || (shape->size() == 2 && (*shape)[0].value != 1)) return std::nullopt;
  Bias bias;
  if (const Tensor* constant = constant_of(graph, value, DType::f32)) {
    bias.real = to_doubles(*constant);
    bias.text = "f32 bias";
    bias.on_grid = true;
    for (size_t c = 0; c < grid.size() && c < bias.real.size(); ++c) {
      const double code = bias.real[c] / double{grid[c]};
      if (std::abs(code - std::nearbyint(code)) > 1e-4 + std::abs(code) * 0x1p-23) bias.on_grid = false;
    }
  } else if (const Node* dequantize = editor.producer(value, "DequantizeLinear")) {
    const std::optional<StoredCodes> stored = stored_codes(graph, *dequantize);
    if (!stored) return std::nullopt;
    for (size_t i = 0; i < stored->codes.size(); ++i) bias.real.push_back(stored->real(i));
    const DType dtype = graph.value(dequantize->inputs[0]).dtype;
    bias.text = std::string(name(dtype)) + " bias behind DequantizeLinear";
    bias.on_grid = dtype == DType::s32;
    for (size_t c = 0; c < grid.size(); ++c)
      if (std::abs(double{stored->scale[stored->scale.size() == 1 ? 0 : c % stored->scale.size()]} / double{grid[c]} -
                   1) > k_same_grid)
        bias.on_grid = false;
  } else {
    return std::nullopt;
  }
  if (bias.real.size() != grid.size()) return std::nullopt;
  return bias;
}

void write_bias(Editor& editor, const Node& layer, Place place, const Bias& bias, const std::vector<float>& grid,
                RepairLog& log) {
  Graph& graph = editor.graph();
  std::vector<int32_t> codes;
  double largest = 0;
  for (size_t c = 0; c < grid.size(); ++c) {
    const double code = std::nearbyint(bias.real[c] / double{grid[c]});
    if (!(std::abs(code) < k_largest_bias_code)) return;
    largest = std::max(largest, std::abs(code * double{grid[c]} - bias.real[c]));
    codes.push_back(static_cast<int32_t>(code));
  }
  const std::string base = graph.value(editor.node(place.node).inputs[place.at]).name;
  const Dims dims{static_cast<int64_t>(grid.size())};
  const ValueId q = editor.add_constant(base + "_s32", code_tensor(DType::s32, dims, codes));
  const ValueId scale = editor.add_constant(base + "_grid", f32_tensor(dims, grid));
  const ValueId real = editor.add_value(base + "_on_grid", DType::f32, to_shape(dims));
  editor.insert_before(place.node, make_node("DequantizeLinear", "", {q, scale}, {real}, {{"axis", int64_t{0}}}));
  editor.set_input(place.node, place.at, real);
  log.add(label(graph, layer), bias.text, "s32 bias on the grid x_scale * w_scale",
          "rounded once, by up to " + short_text(largest));
}

/// Whether the layer's fused form adds a float bias as it is.
bool keeps_float_bias(const Editor& editor, const Node& layer) {
  const Graph& graph = editor.graph();
  if (!is_op(layer, "Conv") || !graph.constant(layer.inputs[2])) return false;
  const NodeId reader = editor.only_reader(layer.outputs[0]);
  if (reader < 0 || !is_op(editor.node(reader), "Add")) return true;
  const Node& add = editor.node(reader);  // of a constant it is no residual
  return graph.constant(add.inputs[0]) || graph.constant(add.inputs[1]);
}

/// Tells of a bias that holds no number: a NaN has no code in ONNX, an infinite one saturates. false: it is one.
bool tell_if_not_finite(const Graph& graph, const Node& layer, ValueId bias, RepairLog& log) {
  const Tensor* all = constant_of(graph, bias, DType::f32);
  if (!all) return false;
  const auto any = [&](auto what) { return std::any_of(all->as<float>().begin(), all->as<float>().end(), what); };
  const std::string place = "node '" + label(graph, layer) + "' (" + std::string(layer.op->name) + "): its bias holds ";
  const bool has_nan = any([](float b) { return std::isnan(b); });
  if (has_nan)
    log.undefined.push_back(place +
                            "a NaN, for which ONNX's QuantizeLinear has no code: octet gives the zero point, other "
                            "engines other codes");
  const bool is_infinite = !has_nan && any([](float b) { return std::isinf(b); });
  if (is_infinite) log.notes.push_back(place + "an infinite number, so the layer runs in float and saturates there");
  return has_nan || is_infinite;
}

/// The Add of a vector that alone reads the product of a matrix in codes: matmul_to_gemm takes it in.
std::optional<Place> bias_behind(const Editor& editor, const Node& matmul) {
  const Graph& graph = editor.graph();
  size_t axis = 0;
  const std::optional<Shape>&x = graph.value(matmul.inputs[0]).shape, &w = graph.value(matmul.inputs[1]).shape;
  const NodeId reader = editor.only_reader(matmul.outputs[0]);
  if (!x || x->empty() || !w || w->size() != 2 || !weight_dequantize(editor, matmul, axis)) return std::nullopt;
  if (reader < 0 || !is_op(editor.node(reader), "Add")) return std::nullopt;
  const std::vector<ValueId>& operands = editor.node(reader).inputs;
  const size_t at = operands[0] == matmul.outputs[0] ? 1 : 0;
  const Value& bias = graph.value(operands[at]);
  const bool is_vector = bias.shape && bias.shape->size() == 1 && (*bias.shape)[0].value == (*w)[1].value;
  return is_vector ? std::optional<Place>({reader, at}) : std::nullopt;
}

/// Nothing for y = alpha A B + beta C with other factors than 1, which has another grid.
std::optional<Place> bias_place(const Editor& editor, NodeId id) {
  const Graph& graph = editor.graph();
  const Node& node = editor.node(id);
  if (node.inputs.empty() || graph.value(node.inputs[0]).dtype != DType::f32) return std::nullopt;
  if (is_op(node, "MatMul")) return bias_behind(editor, node);
  if (input(node, 2) == k_absent) return std::nullopt;
  const bool plain = is_any(node, {"Conv", "ConvTranspose"}) ||
                     (is_op(node, "Gemm") && float_attribute(node, "alpha", 1.0f) == 1.0f &&
                      float_attribute(node, "beta", 1.0f) == 1.0f && int_attribute(node, "transA", 0) == 0);
  return plain ? std::optional<Place>({id, 2}) : std::nullopt;
}

/// A ConvTranspose and a convolution of one or three axes keep their biases.
bool adds_in_float(const Graph& graph, const Node& layer) {
  const std::optional<Shape>& w = graph.value(layer.inputs[1]).shape;
  return is_op(layer, "ConvTranspose") || (is_op(layer, "Conv") && (!w || w->size() != 4));
}

}  // namespace

Result<Done> biases(Graph& graph, RepairLog& log) {
  Editor editor(graph);
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    const std::optional<Place> place = bias_place(editor, id);
    if (!place) continue;
    const Node node = editor.node(id);
    const ValueId value = editor.node(place->node).inputs[place->at];
    if (tell_if_not_finite(graph, node, value, log)) continue;
    if (adds_in_float(graph, node) || keeps_float_bias(editor, node)) continue;
    const size_t channels = output_channels(editor, node);
    const std::optional<std::vector<float>> grid = layer_grid(editor, node, channels);
    if (!grid) continue;
    const std::optional<Bias> bias = bias_of(editor, value, *grid);
    if (bias && !bias->on_grid) write_bias(editor, node, *place, *bias, *grid, log);
  }
  return Done{};
}

}  // namespace octet
