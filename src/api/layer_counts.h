#pragma once
// How many layers of a plan, and how much of its work, run in which precision.

#include <string>

#include "ir/graph.h"

namespace octet {

struct LayerCounts {
  int integer = 0, real = 0, bf16 = 0, conversions = 0;
  double integer_macs = 0, all_macs = 0;
  double percent() const { return all_macs > 0 ? 100 * integer_macs / all_macs : 0; }
};

LayerCounts count_layers(const Graph& graph);

/// "99.2 %".
std::string percent_text(double percent);

}  // namespace octet
