#include "api/tuned_tactics.h"
#include "api/state.h"
#include "runtime/tune.h"

namespace octet {

Result<TunedTactics> tuned_tactics(const Graph& graph, Backend& backend, const SessionSpec& spec) {
  TunedTactics tuned;
  tuned.times = std::make_shared<TimingCache>();
  if (!spec.timing_cache.empty()) {
    Result<TimingCache> loaded = TimingCache::load(spec.timing_cache);
    if (!loaded) return loaded.error();
    *tuned.times = *std::move(loaded);
  }
  tuned.known = tuned.times->size();
  backend.use_times(tuned.times);
  if (spec.optimization_level < 3) return tuned;
  Result<TuningReport> report = tune(
      graph, backend, {.level = spec.optimization_level, .rounds = spec.timing_rounds, .cache = tuned.times.get()});
  if (!report) return report.error();
  tuned.choice = std::move(report->choice);
  tuned.notes = {report->summary()};
  tuned.log = report->log();
  tuned.seconds = report->seconds;
  return tuned;
}

Result<Done> keep_times(const TunedTactics& tuned, const SessionSpec& spec) {
  if (spec.timing_cache.empty() || tuned.times->size() == tuned.known) return Done{};
  return tuned.times->save(spec.timing_cache);
}

std::string refusal_lines(const Program& program) {
  std::string text;
  for (const std::string& refusal : program.refusals()) text += "does not run, left out: " + refusal + "\n";
  return text;
}

}  // namespace octet
