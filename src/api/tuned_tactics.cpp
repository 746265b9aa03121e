#include "api/state.h"
#include "runtime/tune.h"

namespace octet {

Result<TunedTactics> tuned_tactics(const Graph& graph, Backend& backend, const SessionSpec& spec) {
  if (spec.optimization_level < 3) return TunedTactics();
  TimingCache cache;
  if (!spec.timing_cache.empty()) {
    Result<TimingCache> loaded = TimingCache::load(spec.timing_cache);
    if (!loaded) return loaded.error();
    cache = *std::move(loaded);
  }
  const size_t known = cache.size();
  Result<TuningReport> report =
      tune(graph, backend, {.level = spec.optimization_level, .rounds = spec.timing_rounds, .cache = &cache});
  if (!report) return report.error();
  if (!spec.timing_cache.empty() && cache.size() > known) {
    if (Result<Done> saved = cache.save(spec.timing_cache); !saved) return saved.error();
  }
  return TunedTactics{std::move(report->choice), {report->summary()}, report->log(), report->seconds};
}

}  // namespace octet
