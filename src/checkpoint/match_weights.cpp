#include "checkpoint/match_weights.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "ir/editor.h"

namespace octet {
namespace {

/// A weight as rows, one for each output channel.
struct Rows {
  std::vector<double> values;
  size_t rows = 0, columns = 0;
  Dims shape;  // of all but the output channels
};

Rows rows_of(const Tensor& weight, size_t axis) {
  const Dims& dims = weight.dims();
  const std::vector<double> flat = to_doubles(weight);
  Rows made;
  made.rows = static_cast<size_t>(dims[axis]);
  made.columns = made.rows ? flat.size() / made.rows : 0;
  made.values.resize(flat.size());
  size_t inner = 1;
  for (size_t d = axis + 1; d < dims.size(); ++d) inner *= static_cast<size_t>(dims[d]);
  for (size_t d = 0; d < dims.size(); ++d)
    if (d != axis) made.shape.push_back(dims[d]);
  std::vector<size_t> filled(made.rows, 0);
  for (size_t i = 0; i < flat.size(); ++i) {
    const size_t row = i / inner % made.rows;
    made.values[row * made.columns + filled[row]++] = flat[i];
  }
  return made;
}

/// The axis of output channels of a node's weight, or nothing when the node has no weight to look for.
std::optional<size_t> output_axis(const Node& node, const Tensor& weight) {
  if (is_op(node, "Conv")) return 0;
  if (is_op(node, "ConvTranspose")) return 1;
  if (is_op(node, "Gemm")) return int_attribute(node, "transB", 0) != 0 ? 0 : 1;
  if (is_op(node, "MatMul") && weight.rank() == 2) return 1;
  return std::nullopt;
}

enum class Likeness { none, scaled, equal };

/// Rows that are multiples of each other within what folding in f32 rounds.
Likeness likeness(const Rows& found, const Rows& wanted) {
  if (found.rows != wanted.rows || found.shape != wanted.shape || found.values.empty()) return Likeness::none;
  if (found.values == wanted.values) return Likeness::equal;
  constexpr double k_rounding = 1e-5;
  size_t alike = 0;
  for (size_t r = 0; r < found.rows; ++r) {
    const double *a = &found.values[r * found.columns], *b = &wanted.values[r * found.columns];
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < found.columns; ++i) {
      ab += a[i] * b[i];
      aa += a[i] * a[i];
      bb += b[i] * b[i];
    }
    if (aa == 0) continue;  // a dead channel fits anything
    if (aa * bb - ab * ab > k_rounding * k_rounding * aa * bb) return Likeness::none;
    ++alike;
  }
  // A single number is every other one's multiple: rows must have something to tell.
  return found.columns > 1 && 2 * alike > found.rows ? Likeness::scaled : Likeness::none;
}

constexpr std::string_view k_weight = ".weight", k_range = "._input_quantizer._amax";

struct Layer {
  std::string name;
  const Tensor* weight = nullptr;
  float amax = -1;
};

std::vector<Layer> layers_of(const Checkpoint& checkpoint) {
  std::vector<Layer> layers;
  for (const auto& [key, tensor] : checkpoint.tensors) {
    if (!key.ends_with(k_weight) || tensor.rank() < 2) continue;
    Layer layer{key.substr(0, key.size() - k_weight.size()), &tensor, -1};
    const auto range = checkpoint.tensors.find(layer.name + std::string(k_range));
    if (range != checkpoint.tensors.end() && range->second.size() == 1) {
      const double amax = to_doubles(range->second)[0];
      if (std::isfinite(amax) && amax >= 0) layer.amax = static_cast<float>(amax);
    }
    layers.push_back(std::move(layer));
  }
  return layers;
}

/// Layers that fit equally well, the better likeness first.
std::vector<std::pair<const Layer*, Likeness>> candidates(const Rows& rows, const Node& node,
                                                          const std::vector<Layer>& layers) {
  std::vector<std::pair<const Layer*, Likeness>> found;
  Likeness best = Likeness::scaled;
  for (const Layer& layer : layers) {
    const size_t axis = is_op(node, "ConvTranspose") ? 1 : 0;  // Linear is [out, in]
    if (layer.weight->size() != static_cast<int64_t>(rows.values.size())) continue;
    const Likeness now = likeness(rows, rows_of(*layer.weight, axis));
    if (now == Likeness::none || now < best) continue;
    if (now > best) found.clear();
    best = now;
    found.emplace_back(&layer, now);
  }
  return found;
}

}  // namespace

Result<WeightMatches> match_weights(const Checkpoint& checkpoint, const Graph& graph) {
  const std::vector<Layer> layers = layers_of(checkpoint);
  WeightMatches made;
  std::map<std::string, float> ranges;
  std::set<const Layer*> used;
  for (const Node& node : graph.nodes) {
    const ValueId w = input(node, 1);
    const Tensor* weight = w == k_absent ? nullptr : constant_of(graph, w, DType::f32);
    const std::optional<size_t> axis = weight && weight->rank() >= 2 ? output_axis(node, *weight) : std::nullopt;
    if (!axis) continue;
    const auto found = candidates(rows_of(*weight, *axis), node, layers);
    if (found.empty()) {
      made.notes.push_back("node '" + label(graph, node) + "': no layer of the checkpoint has its weight " +
                           to_string(std::span<const int64_t>(weight->dims())) + "; what it reads gets no range");
      continue;
    }
    for (const auto& [other, like] : found) used.insert(other);
    const Layer& layer = *found.front().first;
    if (std::any_of(found.begin(), found.end(), [&](const auto& other) { return other.first->amax != layer.amax; })) {
      made.notes.push_back("node '" + label(graph, node) + "': its weight is that of " + std::to_string(found.size()) +
                           " layers ('" + layer.name + "', '" + found.back().first->name +
                           "') whose ranges differ; what it reads gets no range");
      continue;
    }
    const std::string value = graph.value(node.inputs[0]).name;
    made.layers.push_back(
        {label(graph, node), layer.name, found.front().second == Likeness::scaled, value, layer.amax});
    if (layer.amax < 0) {
      made.notes.push_back("layer '" + layer.name + "' has no range for its input, or one per channel");
      continue;
    }
    float& range = ranges.try_emplace(value, layer.amax).first->second;
    range = std::max(range, layer.amax);
  }
  for (const Layer& layer : layers)
    if (!used.contains(&layer)) made.notes.push_back("layer '" + layer.name + "': no node has its weight");
  if (made.layers.empty())
    return Error{ErrorCode::bad_argument, "none of the checkpoint's " + std::to_string(layers.size()) +
                                              " layers has a weight that the network has; is it another network?"};
  made.amax.assign(ranges.begin(), ranges.end());
  return made;
}

}  // namespace octet
