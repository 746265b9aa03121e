// src/passes/remove_identity.cpp: takes out nodes whose output is their input: Identity, and casts, reshapes,
// transposes, slices, pads, expansions, concatenations, pools, clips and arithmetic that change nothing.
// Quantize/Dequantize pairs stay: they round.

#include <algorithm>
#include <limits>

#include "passes/match.h"
#include "passes/passes.h"

namespace octet {
namespace {

/// Extents agree, and at most one pair is not known to be equal while nothing is empty: then equal element counts
/// make that pair equal too.
bool same_extents(const Value& x, const Value& y) {
  if (!x.shape || !y.shape || x.shape->size() != y.shape->size()) return false;
  int open = 0;
  for (size_t i = 0; i < x.shape->size(); ++i) {
    const Dim &a = (*x.shape)[i], &b = (*y.shape)[i];
    if (a.known() && b.known() && a.value != b.value) return false;
    if (a.value == 0 || b.value == 0) return a == b;
    if (!(a == b) || (!a.known() && a.symbol.empty())) ++open;
  }
  return open <= 1;
}

bool is_in_order(const Graph& graph, const Node& node) {
  const Value& x = graph.value(node.inputs[0]);
  if (!x.shape) return false;
  const std::vector<int64_t> perm = ints_attribute(node, "perm", {});
  if (perm.empty()) return x.shape->size() <= 1;  // the default reverses the axes
  return std::is_sorted(perm.begin(), perm.end());
}

/// Every axis from its start to its end by steps of one.
bool slices_everything(const Graph& graph, const Node& node) {
  const auto starts = constant_ints(graph, input(node, 1)), ends = constant_ints(graph, input(node, 2));
  if (!starts || !ends || !graph.value(node.inputs[0]).shape) return false;
  const auto rank = static_cast<int64_t>(graph.value(node.inputs[0]).shape->size());
  std::vector<int64_t> axes, steps(starts->size(), 1);
  for (size_t i = 0; i < starts->size(); ++i) axes.push_back(static_cast<int64_t>(i));
  if (input(node, 3) != k_absent) {
    const auto given = constant_ints(graph, input(node, 3));
    if (!given) return false;
    axes = *given;
  }
  if (input(node, 4) != k_absent) {
    const auto given = constant_ints(graph, input(node, 4));
    if (!given) return false;
    steps = *given;
  }
  for (size_t i = 0; i < starts->size(); ++i) {
    const auto axis = static_cast<size_t>(axes[i] < 0 ? axes[i] + rank : axes[i]);
    const int64_t size = extent(graph.value(node.inputs[0]), axis);
    const bool to_the_end = (*ends)[i] >= std::numeric_limits<int32_t>::max() || (size >= 0 && (*ends)[i] >= size);
    if ((*starts)[i] != 0 || steps[i] != 1 || !to_the_end) return false;
  }
  return true;
}

bool pads_nothing(const Graph& graph, const Node& node) {
  const auto pads = constant_ints(graph, input(node, 1));
  return pads && std::all_of(pads->begin(), pads->end(), [](int64_t p) { return p == 0; });
}

bool pools_single_elements(const Node& node) {
  const auto all = [&](const char* key, int64_t wanted) {
    const std::vector<int64_t> list = ints_attribute(node, key, {});
    return std::all_of(list.begin(), list.end(), [&](int64_t x) { return x == wanted; });
  };
  return node.outputs.size() == 1 && !has_attribute(node, "auto_pad") && all("kernel_shape", 1) && all("strides", 1) &&
         all("pads", 0);
}

/// x + 0, x - 0, x * 1, x / 1 where the constant does not widen x. Returns the input that passes, or -1.
int neutral_operand(const Graph& graph, const Node& node) {
  const bool additive = is_any(node, {"Add", "Sub"});
  const bool commutes = is_any(node, {"Add", "Mul"});
  for (size_t i = 0; i < (commutes ? 2u : 1u); ++i) {
    const Tensor* other = constant_of(graph, node.inputs[1 - i], DType::f32);
    if (!other || other->size() == 0) continue;
    const std::span<const float> all = other->as<float>();
    const float neutral = additive ? 0.0f : 1.0f;
    if (!std::all_of(all.begin(), all.end(), [&](float x) { return x == neutral; })) continue;
    if (same_extents(graph.value(node.inputs[i]), graph.value(node.outputs[0]))) return static_cast<int>(i);
  }
  return -1;
}

/// The input that the node hands on unchanged, or -1.
int passed_input(const Graph& graph, const Node& node) {
  const Value& y = graph.value(node.outputs[0]);
  const auto same_as_x = [&] { return same_extents(graph.value(node.inputs[0]), y); };
  if (is_op(node, "Identity")) return 0;
  if (is_op(node, "Cast")) return graph.value(node.inputs[0]).dtype == y.dtype ? 0 : -1;
  if (is_any(node, {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Expand"})) return same_as_x() ? 0 : -1;
  if (is_op(node, "Transpose")) return is_in_order(graph, node) ? 0 : -1;
  if (is_op(node, "Slice")) return slices_everything(graph, node) ? 0 : -1;
  if (is_op(node, "Pad")) return pads_nothing(graph, node) ? 0 : -1;
  if (is_op(node, "Concat")) return node.inputs.size() == 1 ? 0 : -1;
  if (is_any(node, {"MaxPool", "AveragePool"})) return pools_single_elements(node) ? 0 : -1;
  if (is_op(node, "Clip")) return input(node, 1) == k_absent && input(node, 2) == k_absent ? 0 : -1;
  if (is_any(node, {"Add", "Sub", "Mul", "Div"})) return neutral_operand(graph, node);
  return -1;
}

}  // namespace

Result<Changed> remove_identity(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    const Node& node = editor.node(id);
    const int passed = passed_input(graph, node);
    if (passed < 0) continue;
    if (!editor.replace_uses(node.outputs[0], node.inputs[static_cast<size_t>(passed)])) continue;
    editor.remove(id);
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
