// src/passes/fold_pad.cpp: a Pad of zeros around the image goes into the pads of the Conv behind it, or into an
// AveragePool, whose divisor then counts the padding (count_include_pad = 1), as it did before.

#include <algorithm>

#include "passes/match.h"
#include "passes/passes.h"

namespace octet {
namespace {

/// Pads of every axis (begin..., end...) of a constant Pad by zeros of a rank-4 f32 tensor; nothing for another Pad.
std::optional<std::vector<int64_t>> zero_pads(const Graph& graph, const Node& node) {
  const Value& x = graph.value(node.inputs[0]);
  if (x.dtype != DType::f32 || !x.shape || x.shape->size() != 4) return std::nullopt;
  if (string_attribute(node, "mode", "constant") != "constant") return std::nullopt;
  const ValueId value = input(node, 2);
  if (value != k_absent && scalar_constant(graph, value) != 0.0f) return std::nullopt;
  const std::optional<std::vector<int64_t>> given = constant_ints(graph, node.inputs[1]);
  if (!given || given->size() % 2 != 0) return std::nullopt;
  std::vector<int64_t> axes{0, 1, 2, 3};
  if (input(node, 3) != k_absent) {
    const std::optional<std::vector<int64_t>> listed = constant_ints(graph, input(node, 3));
    if (!listed) return std::nullopt;
    axes = *listed;
  }
  if (axes.size() * 2 != given->size()) return std::nullopt;
  std::vector<int64_t> pads(8, 0);
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto axis = static_cast<size_t>(axes[i] < 0 ? axes[i] + 4 : axes[i]);
    if (axis >= 4) return std::nullopt;
    pads[axis] = (*given)[i];
    pads[axis + 4] = (*given)[i + axes.size()];
  }
  const bool negative = std::any_of(pads.begin(), pads.end(), [](int64_t p) { return p < 0; });
  if (negative || pads[0] || pads[1] || pads[4] || pads[5]) return std::nullopt;
  return pads;
}

bool accepts_pads(const Node& node) {
  if (string_attribute(node, "auto_pad", "NOTSET") != "NOTSET") return false;
  if (is_op(node, "Conv")) return true;
  if (!is_op(node, "AveragePool") || int_attribute(node, "ceil_mode", 0) != 0) return false;
  const std::vector<int64_t> own = ints_attribute(node, "pads", {});
  const bool pads_nothing = std::all_of(own.begin(), own.end(), [](int64_t p) { return p == 0; });
  return pads_nothing || int_attribute(node, "count_include_pad", 0) != 0;
}

}  // namespace

Result<Changed> fold_pad(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (!is_op(editor.node(id), "Pad")) continue;
    const Node pad = editor.node(id);
    const std::optional<std::vector<int64_t>> pads = zero_pads(graph, pad);
    const NodeId reader = editor.only_reader(pad.outputs[0]);
    if (!pads || reader < 0 || !accepts_pads(editor.node(reader))) continue;
    Node node = editor.node(reader);
    if (node.inputs[0] != pad.outputs[0]) continue;
    std::vector<int64_t> own = ints_attribute(node, "pads", {0, 0, 0, 0});
    if (own.size() != 4) continue;
    for (size_t i = 0; i < 2; ++i) {
      own[i] += (*pads)[2 + i];
      own[2 + i] += (*pads)[6 + i];
    }
    node.inputs[0] = pad.inputs[0];
    node.attributes["pads"] = own;
    if (is_op(node, "AveragePool")) node.attributes["count_include_pad"] = int64_t{1};
    editor.replace(reader, std::move(node));
    editor.remove(id);
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
