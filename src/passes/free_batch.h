#pragma once

#include "base/result.h"
#include "ir/graph.h"

namespace octet {

/// Makes a batch that the file fixes at 1 a free one: every value of one sample becomes [N, ...]. Errors: an input
/// without a leading extent of 1, or a node that does not work on each sample by itself; the graph is as before then.
Result<Done> free_batch(Graph& graph);

/// What to say of a network that was asked for another batch than it runs: why the first input keeps its extent. Empty
/// when it has the batch.
std::string why_batch_stays(const Graph& clean, int64_t asked, int64_t has);

}  // namespace octet
