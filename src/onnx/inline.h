#pragma once
// The functions that a file holds.

#include <cstddef>
#include <vector>

#include "onnx/onnx.h"
#include "onnx/proto.h"

namespace octet {

/// Puts the nodes of the file's functions in the place of the nodes that call them.
Result<Done> inline_functions(ProtoModel& model, const std::byte* origin);
/// The same inside a branch of the node (an If), whose opset and call its nodes inherit.
Result<Done> inline_into_branch(const ProtoModel& model, const ProtoNode& node, ProtoGraph& branch, InlinedText& kept,
                                const std::byte* origin);
/// What a function of another opset than the file's means is a matter of opinion where an operator of it changed in
/// between: one edit for each such node.
void tell_of_other_opsets(const std::vector<ProtoNode>& nodes, int64_t opset, OnnxInfo& info);

}  // namespace octet
