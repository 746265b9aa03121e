#pragma once
// Which opsets a file can be written in.

#include <cstdint>

#include "base/result.h"

namespace octet {

constexpr int64_t k_lowest_opset = 13, k_highest_opset = 23;
/// One of those, or 0: the lowest that expresses the graph.
Result<Done> check_written_opset(int64_t opset);

}  // namespace octet
