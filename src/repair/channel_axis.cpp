// src/repair/channel_axis.cpp: scales per channel belong to a layer's output channels. An axis on which the number of
// scales does not fit is taken as a slip when it fits the output channels. Where both axes are of one length the
// numbers decide: along the axis that the weights were quantized by, every channel reaches the end of its codes.
// A per-channel scale that truly lies along another axis stays: such a layer runs in float. So does one whose scales
// fit neither the axis given nor the output channels, but one other axis alone: they are put there.

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "repair/parameters.h"
#include "repair/repair.h"

namespace octet {
namespace {

/// The largest |code| of each channel along axis, for codes or for float weights divided by their scales.
std::vector<double> largest_codes(const std::vector<double>& w, const Dims& dims, size_t axis,
                                  const std::vector<double>& scale) {
  std::vector<double> largest(static_cast<size_t>(dims[axis]), 0.0);
  size_t inner = 1;
  for (size_t d = axis + 1; d < dims.size(); ++d) inner *= static_cast<size_t>(dims[d]);
  for (size_t i = 0; i < w.size(); ++i) {
    const size_t c = i / inner % largest.size();
    largest[c] = std::max(largest[c], std::abs(w[i] / (scale.empty() ? 1.0 : scale[c])));
  }
  return largest;
}

/// Every channel ends at 127 (or 128, 127.5: the divisors in use) but for the rounding of its scale.
bool fills_codes(const std::vector<double>& largest) {
  return std::all_of(largest.begin(), largest.end(), [](double x) { return x == 0 || (x > 126.4 && x < 128.6); }) &&
         std::any_of(largest.begin(), largest.end(), [](double x) { return x > 0; });
}

struct Weight {
  NodeId quantize = -1;  // of a float weight
  NodeId dequantize = -1;
  std::vector<double> numbers;
  Dims dims;
  std::vector<double> scale;  // for float numbers, else empty
};

/// The constant weight of a layer behind a DequantizeLinear with several scales.
std::optional<Weight> weight_of(const Editor& editor, const Node& layer) {
  const Graph& graph = editor.graph();
  Weight w;
  w.dequantize = editor.producer(input(layer, 1));
  if (w.dequantize < 0 || !is_dequantize(editor.node(w.dequantize))) return std::nullopt;
  const Node& node = editor.node(w.dequantize);
  const Tensor* scale = constant_of(graph, node.inputs[1], DType::f32);
  if (!scale || scale->rank() != 1 || scale->size() < 2) return std::nullopt;
  ValueId stored = node.inputs[0];
  if (!graph.constant(stored)) {
    w.quantize = editor.producer(stored);
    if (w.quantize < 0 || !is_quantize(editor.node(w.quantize))) return std::nullopt;
    stored = editor.node(w.quantize).inputs[0];
    w.scale = to_doubles(*scale);
  }
  const Tensor* tensor = graph.constant(stored);
  if (!tensor || tensor->rank() < 2) return std::nullopt;
  w.numbers = to_doubles(*tensor);
  w.dims = tensor->dims();
  return w;
}

void set_axis(Editor& editor, NodeId id, size_t axis) {
  if (id < 0) return;
  Node node = editor.node(id);
  node.attributes["axis"] = static_cast<int64_t>(axis);
  editor.replace(id, std::move(node));
}

/// The one axis of this length, or nothing.
std::optional<size_t> only_axis(const Dims& dims, int64_t count) {
  if (std::count(dims.begin(), dims.end(), count) != 1) return std::nullopt;
  return static_cast<size_t>(std::find(dims.begin(), dims.end(), count) - dims.begin());
}

void mend(Editor& editor, const Node& layer, RepairLog& log) {
  const Graph& graph = editor.graph();
  const std::optional<Weight> w = weight_of(editor, layer);
  const std::optional<size_t> wanted = output_channel_axis(graph, layer);
  if (!w || !wanted || *wanted >= w->dims.size()) return;
  const Node& node = editor.node(w->dequantize);
  const auto rank = static_cast<int64_t>(w->dims.size());
  const int64_t given = int_attribute(node, "axis", 1);
  const int64_t axis = given < 0 ? given + rank : given;
  const int64_t count = graph.constant(node.inputs[1])->size();
  const std::optional<size_t> only = only_axis(w->dims, count);
  if (w->dims[*wanted] != count && only && (axis < 0 || axis >= rank || w->dims[static_cast<size_t>(axis)] != count)) {
    log.add(label(graph, layer),
            std::to_string(count) + " scales along axis " + std::to_string(given) + ", which they do not fit",
            "along axis " + std::to_string(*only), "the only axis of the weight that the scales fit");
    set_axis(editor, w->dequantize, *only);
    set_axis(editor, w->quantize, *only);
    return;
  }
  if (axis == static_cast<int64_t>(*wanted) || w->dims[*wanted] != count) return;
  std::string before = std::to_string(count) + " scales along axis " + std::to_string(given), change;
  if (axis >= 0 && axis < rank && w->dims[static_cast<size_t>(axis)] == count) {
    if (fills_codes(largest_codes(w->numbers, w->dims, static_cast<size_t>(axis), w->scale))) return;
    if (!fills_codes(largest_codes(w->numbers, w->dims, *wanted, w->scale))) return;
    change = "the weights fill their codes along axis " + std::to_string(*wanted) + " only, so that is what was meant";
  } else {
    before += axis >= 0 && axis < rank
                  ? ", which has " + std::to_string(w->dims[static_cast<size_t>(axis)]) + " channels"
                  : ", which the weight has not";
    change = "the only axis of the output channels that the scales fit";
  }
  log.add(label(graph, layer), std::move(before), "along axis " + std::to_string(*wanted), std::move(change));
  set_axis(editor, w->dequantize, *wanted);
  set_axis(editor, w->quantize, *wanted);
}

/// The scales of a vector (an int32 bias): it has one axis, 0.
void mend_vector(Editor& editor, NodeId id, RepairLog& log) {
  const Graph& graph = editor.graph();
  const Node& node = editor.node(id);
  const std::optional<Shape>& data = graph.value(node.inputs[0]).shape;
  const Tensor* scale = graph.constant(node.inputs[1]);
  if (!data || data->size() != 1 || !scale || scale->rank() != 1 || scale->size() < 2 ||
      (*data)[0].value != scale->size() || has_attribute(node, "block_size"))
    return;
  const int64_t axis = int_attribute(node, "axis", 1);
  if (axis == 0 || axis == -1) return;
  log.add(label(graph, node),
          std::to_string(scale->size()) + " scales along axis " + std::to_string(axis) + ", which a vector has not",
          "along axis 0", "the only axis there is");
  set_axis(editor, id, 0);
}

}  // namespace

Result<Done> channel_axis(Graph& graph, RepairLog& log) {
  Editor editor(graph);
  for (NodeId id = 0; id < editor.node_count(); ++id)
    if (is_q_or_dq(editor.node(id))) mend_vector(editor, id, log);
  for (NodeId id = 0; id < editor.node_count(); ++id)
    if (is_layer(editor.node(id))) mend(editor, Node(editor.node(id)), log);
  return Done{};
}

}  // namespace octet
