#pragma once
// A plan's layers on products of bfloat16 where a back end has no such products.

#include <string>
#include <vector>

#include "plan/backend.h"

namespace octet {

/// Makes Bf16Conv and Bf16Gemm FusedConv and FusedGemm, and their values f32, when the back end has no way of its own
/// for one of them (the judge has); a note says so. Weights keep their rounded values, inputs are not rounded any more.
/// Errors: of the verifier.
Result<Done> widen_bf16(Graph& graph, const Backend& backend, std::vector<std::string>& notes);

}  // namespace octet
