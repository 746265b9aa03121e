#pragma once

#include "base/result.h"
#include "ir/graph.h"

namespace octet {

/// Takes quantization out of a repaired graph; weights keep the values their codes have. Errors: parameters that are
/// computed while the network runs; what does not verify then.
Result<Done> make_float(Graph& graph);

}  // namespace octet
