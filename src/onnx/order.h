#pragma once
// What a node of the file reads, its subgraphs' nodes included, and the order that follows from it.

#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "onnx/onnx.h"
#include "onnx/proto.h"

namespace octet {

/// Name and GraphProto of the node's attributes that are graphs.
std::vector<std::pair<std::string_view, ByteSpan>> subgraphs_of(const ProtoNode& node);
/// Names that nodes and outputs of the node's subgraphs read, those from outside among them.
std::vector<std::string_view> names_read_inside(const ProtoNode& node, int depth = 0);
struct NodeOrder {
  std::vector<size_t> nodes;   // indices of graph.nodes, each after the makers of its inputs, else in the file's order
  std::optional<Error> cycle;  // names a node on it; nodes lacks those on it and behind it
};
NodeOrder topological_order(const ProtoGraph& graph);

}  // namespace octet
