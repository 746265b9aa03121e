#pragma once
// Runs of element-wise ops with one input that is data and constants beside it: what a change of order or shape may
// move past.

#include <optional>
#include <vector>

#include "passes/match.h"

namespace octet {

/// Which input of the node is data, when each element of the result depends on one element of it and on constants:
/// unary functions, Cast, arithmetic with a constant, QuantizeLinear and DequantizeLinear with constant parameters (no
/// blocks). Nothing for other nodes.
std::optional<size_t> element_input(const Graph& graph, const Node& node);

struct ElementChain {
  NodeId above = -1;          // the node that ends the walk, of a kind that was asked for
  std::vector<NodeId> nodes;  // in running order; each reads the one before it and nobody else does
};
/// Walks up from v, past nodes that `may_pass` and whose results have one reader, to a node of one of `ops` whose
/// result has one reader too.
std::optional<ElementChain> chain_up(const Editor& editor, ValueId v, std::initializer_list<std::string_view> ops,
                                     const std::function<bool(const Node&)>& may_pass);

/// Constants beside the data have one element, scales included.
bool has_scalar_constants(const Graph& graph, const Node& node);

}  // namespace octet
