#include "ir/single_node.h"

namespace octet {

Graph graph_of_node(const Graph& graph, const Node& node) {
  Graph alone;
  Node copy = node;
  for (std::vector<ValueId>* ids : {&copy.inputs, &copy.outputs}) {
    for (ValueId& v : *ids) {
      if (v == k_absent) continue;
      alone.values.push_back(graph.value(v));
      v = static_cast<ValueId>(alone.values.size()) - 1;
    }
  }
  alone.nodes.push_back(std::move(copy));
  return alone;
}

}  // namespace octet
