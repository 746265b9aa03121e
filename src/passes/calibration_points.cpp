// What quantize() may ask ranges for: the values that placement wants as codes when every range is known.

#include "passes/passes.h"
#include "passes/placement.h"

namespace octet {

std::vector<std::string> calibration_points(const Graph& clean) {
  Graph graph = clean;  // shares the tensors
  const Editor editor(graph);
  const auto any = [](ValueId) { return true; };
  const Placement placement = place(editor, any, std::vector<bool>(graph.nodes.size(), false));
  std::vector<std::string> names;
  const auto add = [&](ValueId v) {
    if (v != k_absent && placement.wanted[static_cast<size_t>(v)]) names.push_back(graph.value(v).name);
  };
  for (const ValueId v : graph.inputs) add(v);
  for (const Node& node : graph.nodes)
    for (const ValueId v : node.outputs) add(v);
  return names;
}

}  // namespace octet
