#pragma once
// A node on its own, for those who keep it longer than its graph.

#include "ir/graph.h"

namespace octet {

/// A graph of this node alone: its values with their shapes and constants, under new ids. No inputs and outputs.
Graph graph_of_node(const Graph& graph, const Node& node);

}  // namespace octet
