#pragma once
// What octet does not read of a file, told before anything is converted.

#include <cstdint>
#include <string>

#include "base/result.h"
#include "onnx/proto.h"

namespace octet {

/// An Error when `what` (the file, a function) is of an opset outside k_first_opset..k_last_opset.
Result<Done> check_opset(const std::string& what, int64_t version);
/// The opset of ai.onnx; an Error when it is missing or outside them.
Result<int64_t> default_opset(const ProtoModel& model);
/// One Error for all nodes that octet cannot read: unknown ops, foreign domains, local functions.
Result<Done> refuse_unknown(const ProtoModel& model, int64_t opset);
/// The node is one of them.
bool cannot_be_read(const ProtoNode& node);

}  // namespace octet
