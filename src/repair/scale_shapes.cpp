// src/repair/scale_shapes.cpp: without blocks a scale is a number or a vector. One of shape [1,4] or [1,1,1,1] holds no
// more than that: its axes of length 1 go, of the zero point's too. The axis stays as the file says it.

#include <algorithm>

#include "repair/parameters.h"
#include "repair/repair.h"

namespace octet {
namespace {

/// The shape of at most one axis that holds the same numbers, or nothing.
std::optional<Dims> squeezed(const Dims& dims) {
  Dims longer;
  std::copy_if(dims.begin(), dims.end(), std::back_inserter(longer), [](int64_t d) { return d != 1; });
  return dims.size() > 1 && longer.size() < 2 ? std::optional(longer) : std::nullopt;
}

void mend(Editor& editor, NodeId id, RepairLog& log) {
  Graph& graph = editor.graph();
  const Tensor* scale = graph.constant(editor.node(id).inputs[1]);
  if (!scale || int_attribute(editor.node(id), "block_size", 0) != 0) return;
  std::string before, after;
  for (const size_t i : {size_t{1}, size_t{2}}) {
    const ValueId v = input(editor.node(id), i);
    const Tensor* tensor = v == k_absent ? nullptr : graph.constant(v);
    const std::optional<Dims> dims = tensor ? squeezed(tensor->dims()) : std::nullopt;
    if (!dims) continue;
    const std::string what = i == 1 ? "scale " : "zero point ";
    before += (before.empty() ? "" : ", ") + what + to_string(tensor->dims());
    after += (after.empty() ? "" : ", ") + what + to_string(*dims);
    editor.set_input(id, i, editor.add_constant(graph.value(v).name + "_squeezed", tensor->reshaped(*dims)));
  }
  if (!before.empty()) log.add(label(graph, editor.node(id)), before, after, "the only reading there is");
}

}  // namespace

Result<Done> scale_shapes(Graph& graph, RepairLog& log) {
  Editor editor(graph);
  for (NodeId id = 0; id < editor.node_count(); ++id)
    if (is_q_or_dq(editor.node(id))) mend(editor, id, log);
  return Done{};
}

}  // namespace octet
