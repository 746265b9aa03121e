#include "repair/layer_grid.h"

#include <cmath>

namespace octet {

const Node* weight_dequantize(const Editor& editor, const Node& layer, size_t& axis) {
  const Graph& graph = editor.graph();
  const std::optional<size_t> of_layer = output_channel_axis(graph, layer);
  if (!of_layer) return nullptr;
  axis = *of_layer;
  const Node* transpose = editor.producer(layer.inputs[1], "Transpose");
  if (!transpose) return editor.producer(layer.inputs[1], "DequantizeLinear");
  if (graph.value(layer.inputs[1]).shape->size() != 2 ||
      ints_attribute(*transpose, "perm", {1, 0}) != std::vector<int64_t>{1, 0})
    return nullptr;
  axis = 1 - axis;
  return editor.producer(transpose->inputs[0], "DequantizeLinear");
}

std::optional<std::vector<float>> layer_grid(const Editor& editor, const Node& layer, size_t channels) {
  const Graph& graph = editor.graph();
  size_t axis = 0;
  const Node* x = editor.producer(layer.inputs[0], "DequantizeLinear");
  const Node* w = weight_dequantize(editor, layer, axis);
  if (!x || !w) return std::nullopt;
  const std::optional<CodeParams> data = code_params(graph, *x);
  const std::optional<StoredCodes> weight = stored_codes(graph, *w);
  if (!data || !weight) return std::nullopt;
  const std::vector<float>& scale = weight->scale;
  if (scale.size() > 1 && (weight->axis != axis || scale.size() != channels)) return std::nullopt;
  std::vector<float> grid;
  for (size_t c = 0; c < channels; ++c) grid.push_back(data->scale * scale[scale.size() == 1 ? 0 : c]);
  return grid;
}

size_t output_channels(const Editor& editor, const Node& layer) {
  size_t axis = 0;
  const Node* w = weight_dequantize(editor, layer, axis);
  if (!w) return 0;
  const std::optional<Shape>& shape = editor.graph().value(w->inputs[0]).shape;
  return shape && axis < shape->size() && (*shape)[axis].known() ? static_cast<size_t>((*shape)[axis].value) : 0;
}

bool is_on_grid(std::span<const float> bias, const std::vector<float>& grid) {
  for (size_t c = 0; c < bias.size(); ++c) {
    const double code = double{bias[c]} / double{grid[c]};
    if (!(std::abs(code) < k_largest_bias_code)) return false;  // the scale of a dead channel; no number
    if (!(std::abs(code - std::nearbyint(code)) <= 1e-4 + std::abs(code) * 0x1p-23)) return false;
  }
  return true;
}

}  // namespace octet
