#pragma once
// --precision best: which layers of a quantized network run faster in float, by measurement; not installed.

#include <set>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "passes/passes.h"
#include "plan/backend.h"
#include "plan/timing_cache.h"

namespace octet {

struct BestPrecision {
  Graph graph;                         // fused, ready for an engine
  Graph clean;                         // what it was lowered from, for other shapes
  std::set<std::string> float_layers;  // made float by this choice
  std::string precision;               // "int8", "fp32" or "int8 and fp32"
  std::vector<std::string> notes;      // why each float layer is float; counts; both whole times
  std::string log;                     // every layer with its time in both precisions; the whole networks
  int64_t measured = 0;                // times that were not in the cache
};
/// quantized, floating: clean forms of the same network. Times both layer by layer in turns; a layer that is clearly
/// slower in INT8 becomes float where the whole network gains by it, and where the whole is slower than FP32, FP32 is
/// taken. cache: times found there are not measured again, new ones are added; with all of them the choice is the same
/// every time.
Result<BestPrecision> choose_best_precision(const Graph& quantized, const Graph& floating, const Binding& binding,
                                            const std::set<std::string>& skip, Backend& backend, TimingCache& cache);

}  // namespace octet
