#pragma once
// --precision best: which layers of a quantized network run faster in float, by measurement; not installed.

#include <memory>
#include <set>
#include <span>
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
  std::string precision;               // "int8", "fp32", "fp16", "int8 and fp32", "int8 and fp16", ...
  std::vector<std::string> notes;      // why each float layer is float; counts; all whole times
  std::string log;                     // every layer with its time in INT8 and float; the whole networks
  int64_t measured = 0;                // times that were not in the cache
};
/// A precision that float layers can have, and the back end that runs them so.
struct FloatForm {
  std::string precision;  // "fp32", "tf32", "fp16"
  std::shared_ptr<Backend> backend;
};

/// quantized, floating: clean forms of the same network. floats: float layers beside integer ones are in the first; the
/// whole network is tried in each. All are timed layer by layer in turns; a layer that is clearly slower in INT8
/// becomes float where the whole network gains by it, and where a network without integer layers is faster than that,
/// it is taken. cache: times found there are not measured again, new ones are added; with all of them the choice is the
/// same every time.
Result<BestPrecision> choose_best_precision(const Graph& quantized, const Graph& floating, const Binding& binding,
                                            const std::set<std::string>& skip, std::span<const FloatForm> floats,
                                            TimingCache& cache);

}  // namespace octet
