// src/passes/reduce_mean_to_pool.cpp: the mean over the spatial axes of [N, C, H, W] or [N, C, D, H, W] is
// GlobalAveragePool, however it is spelled: ReduceMean over all of these axes (keepdims = 0: with a Flatten behind it),
// or AveragePool with a window as large as the image.

#include <algorithm>
#include <numeric>

#include "passes/match.h"
#include "passes/passes.h"

namespace octet {
namespace {

bool reduces_space(const Graph& graph, const Node& node) {
  const Value& x = graph.value(node.inputs[0]);
  std::optional<std::vector<int64_t>> axes = constant_ints(graph, input(node, 1));
  if (!axes || !has_pixels(x) || x.dtype != DType::f32) return false;
  const size_t rank = x.shape->size();
  for (int64_t& axis : *axes) axis = axis < 0 ? axis + static_cast<int64_t>(rank) : axis;
  std::sort(axes->begin(), axes->end());
  std::vector<int64_t> spatial(rank - 2);
  std::iota(spatial.begin(), spatial.end(), 2);
  return *axes == spatial;
}

bool covers_image(const Graph& graph, const Node& node) {
  const Value& x = graph.value(node.inputs[0]);
  const std::vector<int64_t> kernel = ints_attribute(node, "kernel_shape", {});
  if (!has_pixels(x) || kernel.size() + 2 != x.shape->size() || x.dtype != DType::f32) return false;
  const std::vector<int64_t> pads = ints_attribute(node, "pads", {});
  const std::vector<int64_t> dilations = ints_attribute(node, "dilations", {});
  for (size_t i = 0; i < kernel.size(); ++i)
    if (kernel[i] != extent(x, i + 2)) return false;
  return !has_attribute(node, "auto_pad") && std::all_of(pads.begin(), pads.end(), [](int64_t p) { return p == 0; }) &&
         std::all_of(dilations.begin(), dilations.end(), [](int64_t d) { return d == 1; });
}

}  // namespace

Result<Changed> reduce_mean_to_pool(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    const Node node = editor.node(id);
    const bool mean = is_op(node, "ReduceMean") && reduces_space(graph, node);
    const bool pool = is_op(node, "AveragePool") && covers_image(graph, node);
    if (!mean && !pool) continue;
    ++changed.count;
    if (pool || int_attribute(node, "keepdims", 1) != 0) {
      editor.replace(id, make_node("GlobalAveragePool", node.name, {node.inputs[0]}, node.outputs));
      continue;
    }
    Shape x = *graph.value(node.inputs[0]).shape;
    std::fill(x.begin() + 2, x.end(), Dim(1));
    const ValueId pooled = editor.add_value(graph.value(node.outputs[0]).name + "_pooled", DType::f32, std::move(x));
    editor.insert_before(id, make_node("GlobalAveragePool", node.name, {node.inputs[0]}, {pooled}));
    editor.replace(id, make_node("Flatten", "", {pooled}, node.outputs, {{"axis", int64_t{1}}}));
  }
  return changed;
}

}  // namespace octet
