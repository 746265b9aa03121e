#pragma once
// A session that is measured, with its buffers and what was found; not installed.

#include <chrono>
#include <string>

#include "octet/measure.h"
#include "octet/tasks.h"

namespace octet {

/// Random inputs as trtexec draws them, or the files of the spec.
Result<TensorBuffers> buffers_for(const Session& session, const BenchSpec& spec);

/// A report of which nothing is measured yet.
PerformanceReport empty_report(const Session& session, const std::string& name, const BenchSpec& spec);

double ms_since(std::chrono::steady_clock::time_point start);

struct Lane {
  Session& session;
  TensorBuffers buffers;
  PerformanceReport& report;

  /// What a user waits for once.
  Result<Done> first_run();
  /// One query; its time goes to the report unless it belongs to the warm-up. The engine runs in the calling thread, so
  /// the hand-over costs nothing and the buffers are used in place.
  Result<Done> query(bool warm);
  /// Runs with the layer clock, as many as there were queries, 10 to 200.
  Result<Done> profile();
};

}  // namespace octet
