#pragma once
// Tactics by measurement: the runtime's tuner with the specification's timing cache.

#include <memory>
#include <string>
#include <vector>

#include "octet/session.h"
#include "plan/backend.h"
#include "plan/timing_cache.h"

namespace octet {

/// The tactics by measurement, when the specification asks for it; else no choice.
struct TunedTactics {
  TacticChoice choice;
  std::vector<std::string> notes;
  std::string log;
  double seconds = 0;
  std::shared_ptr<TimingCache> times;  // the specification's file and what was measured since
  size_t known = 0;                    // of the file
};
/// The back end takes the times of the specification's timing cache from here on.
Result<TunedTactics> tuned_tactics(const Graph& graph, Backend& backend, const SessionSpec& spec);

/// For the log: the ways that preparing tried and that do not run, a line each.
std::string refusal_lines(const Program& program);

/// Writes what was measured, by the tuner or by a back end that prepared a plan, to the specification's file.
Result<Done> keep_times(const TunedTactics& tuned, const SessionSpec& spec);

}  // namespace octet
