#pragma once
// What inference, the verifier and the parser all check: how many inputs and outputs a node has, which attributes of
// which kind, and whether shapes are sane and agree.

#include "base/result.h"
#include "ir/graph.h"

namespace octet {

/// Arity (inputs below min_inputs may not be absent, variadic ones never), attribute names and attribute kinds.
/// Ids must be in range. An Error names the node and the input, output or attribute.
Result<Done> check_schema(const Graph& graph, const Node& node);

/// "int", "float", "string", "ints", "floats", "strings", "tensor".
std::string_view kind_name(const Attribute& attribute);

/// No contradiction: an unknown rank or extent agrees with everything, whatever its symbol.
bool shapes_agree(const std::optional<Shape>& a, const std::optional<Shape>& b);

/// No extent below -1, and the known ones together at most k_max_elements.
bool is_bounded(const Shape& shape);

}  // namespace octet
