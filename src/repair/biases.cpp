// src/repair/biases.cpp: an integer layer adds its bias in units of x_scale * w_scale. A bias that lies elsewhere
// (float, uint8 or int8 with parameters of its own, int32 on another grid) is rounded to that grid once and stored as
// int32 behind DequantizeLinear, so that the file and every engine that runs it agree. A bias on the grid, or one whose
// codes would not fit, stays as it is; so does the float bias of a 2-D convolution without a residual Add behind it,
// since octet's integer layer adds it without rounding it to the grid (passes/fuse_quant_conv.cpp), and the bias of a
// layer that runs in float anyway: ConvTranspose, a convolution of one or three axes.

#include <algorithm>
#include <cmath>

#include "repair/parameters.h"
#include "repair/repair.h"

namespace octet {
namespace {

constexpr double k_same_grid = 1e-5;       // relative; a float product differs by 2^-24
constexpr double k_largest_code = 0x1p30;  // leaves the accumulator as much again

/// The layer's grid: one step for each output channel.
std::optional<std::vector<float>> grid_of(const Editor& editor, const Node& layer) {
  const Graph& graph = editor.graph();
  const Node* x = editor.producer(layer.inputs[0], "DequantizeLinear");
  const Node* w = editor.producer(layer.inputs[1], "DequantizeLinear");
  const std::optional<size_t> axis = output_channel_axis(graph, layer);
  if (!x || !w || !axis) return std::nullopt;
  const std::optional<CodeParams> data = code_params(graph, *x);
  const std::optional<StoredCodes> weight = stored_codes(graph, *w);
  if (!data || !weight || (weight->scale.size() > 1 && weight->axis != *axis)) return std::nullopt;
  std::vector<float> grid;
  for (int64_t c = 0; c < weight->dims[*axis]; ++c)
    grid.push_back(data->scale * weight->scale[weight->scale.size() == 1 ? 0 : static_cast<size_t>(c)]);
  return grid;
}

struct Bias {
  std::vector<double> real;
  std::string text;
  bool on_grid = false;
};

/// The bias of input 2 as real numbers, one for each channel.
std::optional<Bias> bias_of(const Editor& editor, const Node& layer, const std::vector<float>& grid) {
  const Graph& graph = editor.graph();
  Bias bias;
  if (const Tensor* constant = constant_of(graph, layer.inputs[2], DType::f32)) {
    bias.real = to_doubles(*constant);
    bias.text = "f32 bias";
    bias.on_grid = true;
    for (size_t c = 0; c < grid.size() && c < bias.real.size(); ++c) {
      const double code = bias.real[c] / double{grid[c]};
      if (std::abs(code - std::nearbyint(code)) > 1e-4 + std::abs(code) * 0x1p-23) bias.on_grid = false;
    }
  } else if (const Node* dequantize = editor.producer(layer.inputs[2], "DequantizeLinear")) {
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

void write_bias(Editor& editor, NodeId id, const Bias& bias, const std::vector<float>& grid, RepairLog& log) {
  Graph& graph = editor.graph();
  std::vector<int32_t> codes;
  double largest = 0;
  for (size_t c = 0; c < grid.size(); ++c) {
    const double code = std::nearbyint(bias.real[c] / double{grid[c]});
    if (!(std::abs(code) < k_largest_code)) return;
    largest = std::max(largest, std::abs(code * double{grid[c]} - bias.real[c]));
    codes.push_back(static_cast<int32_t>(code));
  }
  const std::string base = graph.value(editor.node(id).inputs[2]).name;
  const Dims dims{static_cast<int64_t>(grid.size())};
  const ValueId q = editor.add_constant(base + "_s32", code_tensor(DType::s32, dims, codes));
  const ValueId scale = editor.add_constant(base + "_grid", f32_tensor(dims, grid));
  const ValueId real = editor.add_value(base + "_on_grid", DType::f32, to_shape(dims));
  editor.insert_before(id, make_node("DequantizeLinear", "", {q, scale}, {real}, {{"axis", int64_t{0}}}));
  editor.set_input(id, 2, real);
  log.add(label(graph, editor.node(id)), bias.text, "s32 bias on the grid x_scale * w_scale",
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

bool is_not_finite(const Graph& graph, ValueId bias) {
  const Tensor* all = constant_of(graph, bias, DType::f32);
  return all &&
         !std::all_of(all->as<float>().begin(), all->as<float>().end(), [](float b) { return std::isfinite(b); });
}

/// y = alpha A B + beta C with other factors than 1 has another grid.
bool has_plain_bias(const Graph& graph, const Node& node) {
  if (input(node, 2) == k_absent || graph.value(node.inputs[0]).dtype != DType::f32) return false;
  if (is_op(node, "Conv")) {
    const std::optional<Shape>& w = graph.value(node.inputs[1]).shape;
    return w && w->size() == 4;
  }
  return is_op(node, "Gemm") && float_attribute(node, "alpha", 1.0f) == 1.0f &&
         float_attribute(node, "beta", 1.0f) == 1.0f && int_attribute(node, "transA", 0) == 0;
}

}  // namespace

Result<Done> biases(Graph& graph, RepairLog& log) {
  Editor editor(graph);
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    const Node node = editor.node(id);
    if (!has_plain_bias(graph, node)) continue;
    if (is_not_finite(graph, node.inputs[2])) {
      log.notes.push_back("node '" + label(graph, node) + "' (" + std::string(node.op->name) +
                          "): its bias holds a number that is not finite, so the layer runs in float and hands it on");
      continue;
    }
    if (keeps_float_bias(editor, node)) continue;
    const std::optional<std::vector<float>> grid = grid_of(editor, node);
    if (!grid) continue;
    const std::optional<Bias> bias = bias_of(editor, node, *grid);
    if (bias && !bias->on_grid) write_bias(editor, id, *bias, *grid, log);
  }
  return Done{};
}

}  // namespace octet
