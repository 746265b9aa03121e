#pragma once
// Which nodes of the file a node stands for. A rewrite need not think of it: whoever runs one remembers the graph
// before it and hands the origins on afterwards.

#include <string>
#include <vector>

#include "ir/graph.h"

namespace octet {

/// The graph before a rewrite. Each origin stays in exactly one node as long as what it computes is alive:
/// - a node that is still there, by name, keeps its own; else whoever makes the same value has them;
/// - what a reader took in goes to that reader, and what was only taken out between two nodes goes to the one before.
class Origins {
 public:
  /// Copies nothing, and hands nothing on, where no node has origins.
  explicit Origins(const Graph& graph);
  /// To be called before compact(): values have the ids that they had.
  void hand_on(Graph& graph) const;

 private:
  std::vector<Node> nodes_;
  std::vector<ValueId> outputs_;
  std::vector<bool> constant_;  // by value
};

/// The node's origins joined by " + "; else its name, else its first output's.
std::string joined_name(const Graph& graph, const Node& node);

}  // namespace octet
