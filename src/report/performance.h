#pragma once
// trtexec's performance summary: same metrics, same percentile rule, same lines.
// Source: NVIDIA/TensorRT samples/common/sampleReporting.cpp (8.6 to 10), restated in docs/benchmarks.md.

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "report/roofline.h"

namespace octet {

struct LatencySummary {
  float min = 0, max = 0, mean = 0, median = 0;
  std::vector<float> percentiles;  // in the order asked for
};
/// ms: one value per query, in any order. percents in [0, 100].
/// Percentile: sorted[max(n - 1 - trunc((1 - p/100) * n), 0)], evaluated in float as trtexec does; no interpolation.
LatencySummary summarize_latency(std::span<const float> ms, std::span<const float> percents);

/// Times of one query in ms. On a CPU the caller's buffers are used in place: H2D and D2H are 0.
struct QueryTimes {
  float enqueue = 0, h2d = 0, compute = 0, d2h = 0;
};

struct LayerTime {
  std::string name, op, tactic;
  double mean_ms = 0;
};

struct PerformanceReport {
  std::string model, device, isa, precision;
  int threads = 1;
  int64_t batch = 1;
  int64_t warmup_queries = 0;
  double warmup_ms = 0;
  double walltime_s = 0;
  std::vector<QueryTimes> queries;
  std::vector<float> percents = {90, 95, 99};
  std::vector<LayerTime> layers;  // with --profile
  std::optional<RooflineReport> roofline;
};

/// Lines of trtexec's section "=== Performance summary ===" (with "=== Trace details ===" when trace is set), without
/// time stamps.
std::string to_text(const PerformanceReport& report, bool trace);
/// One JSON object: throughput_qps, latency_ms {...}, compute_ms {...}, isa, threads, batch, ...
std::string to_json(const PerformanceReport& report);
/// The profile table of trtexec's --dumpProfile.
std::string profile_text(const PerformanceReport& report);

/// "speed-up 3.12 (median 4.10 ms -> 1.31 ms)" of two paired reports.
std::string speedup_text(const PerformanceReport& first, const PerformanceReport& second);

}  // namespace octet
