#pragma once
// A scale and a shift per channel between codes (a BatchNormalization in front of a 1x1 convolution), done while the
// convolution brings its input near: the codes between the two are never written to memory.

#include "base/isa.h"
#include "ir/graph.h"

namespace octet::cpu {

/// The depthwise QuantConv that makes the convolution's input and is done by it, on the ISA; null = none. Both visit
/// every pixel, nobody else reads what is between them.
const Node* scaling_before(const Graph& graph, const Node& conv, Isa isa);
/// Whether the node is done by the convolution behind it: what it makes is wanted by taps only.
bool is_done_by_next(const Graph& graph, const Node& node, Isa isa);
/// What the node reads beside its inputs: the input of scaling_before(); k_absent = nothing.
ValueId read_beside(const Graph& graph, const Node& node, Isa isa);

}  // namespace octet::cpu
