#pragma once
// What may be said about a node without looking at shapes: how many inputs and outputs, which attributes of which kind.

#include "base/result.h"
#include "ir/graph.h"

namespace octet {

/// Arity (inputs below min_inputs may not be absent, variadic ones never), attribute names and attribute kinds.
/// Ids must be in range. An Error names the node and the input, output or attribute.
Result<Done> check_schema(const Graph& graph, const Node& node);

/// "int", "float", "string", "ints", "floats", "strings", "tensor".
std::string_view kind_name(const Attribute& attribute);

}  // namespace octet
