#pragma once
// trtexec's performance summary: same metrics, same percentile rule, same lines.
// Source: NVIDIA/TensorRT samples/common/sampleReporting.cpp (8.6 to 10), restated in docs/benchmarks.md.

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "report/query_trace.h"
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
  int streams = 1;
  double load_ms = 0, build_ms = 0;  // of a plan; of an engine made here
  double first_run_ms = 0;           // not measured with the others
  size_t weight_bytes = 0, context_bytes = 0;
  int64_t warmup_queries = 0;
  double warmup_ms = 0;
  double walltime_s = 0;
  std::vector<QueryTimes> queries;
  std::vector<size_t> engine_starts;  // of a pair: the first query of each fresh engine
  std::vector<float> percents = {90, 95, 99};
  std::vector<LayerTime> layers;  // with --profile
  std::optional<RooflineReport> roofline;
  RunProfile profile;  // the same, run by run
};

/// Lines of trtexec's section "=== Performance summary ===" (with "=== Trace details ===" when trace is set), without
/// time stamps.
std::string to_text(const PerformanceReport& report, bool trace);
/// One JSON object: throughput_qps, latency_ms {...}, compute_ms {...}, isa, threads, batch, ...
std::string to_json(const PerformanceReport& report);
/// The profile as a table: layers, then what no layer accounts for ("unattributed"), together the run.
std::string profile_text(const PerformanceReport& report);

/// How many times faster the second of two that take turns is.
struct SpeedUp {
  double ratio = 0;          // the median over the pairs of engines; of the two medians where there are fewer than two
  double low = 0, high = 0;  // 95 % interval
  size_t pairs = 0;          // of fresh engines
  bool is_shown() const { return low > 1 || high < 1; }
};
/// Each pair of fresh engines gives one ratio, median over median of its queries; times of one engine share its luck,
/// so that more of them would say no more. The interval is that of the median of these ratios by order statistics,
/// which needs to know nothing of how they are spread: of n ratios in order, the r-th and the (n+1-r)-th hold the true
/// median between them but for 2 P(fewer than r of n fair coins are heads); r is the largest number for which that is
/// at most 5 %. With nine pairs r is 2 and the coverage 96.1 %. Fewer than six pairs give no interval: low and high are
/// 0 and infinity. Source: David and Nagaraja, Order Statistics, 3rd edition, 7.1.
SpeedUp speed_up(const PerformanceReport& first, const PerformanceReport& second);
/// "speed-up 3.12, 95 % interval 3.05 to 3.19 of 9 pairs of fresh engines (median 4.10 ms -> 1.31 ms, 400 queries each
/// in turns)", or that no difference is shown.
std::string speedup_text(const PerformanceReport& first, const PerformanceReport& second);
/// {"first", "second", "speedup", "speedup_ci95", "difference_shown"}.
std::string paired_json(const PerformanceReport& first, const PerformanceReport& second);

/// Outputs of one run against a file of expected values.
struct OutputCheck {
  struct Output {
    std::string name;
    double max_error = 0, max_value = 0, cosine = 0;                          // max_value: the largest |expected|
    bool within(double part) const { return max_error <= part * max_value; }  // false for NaN
  };
  std::string file;
  double tolerance = 0;  // of max |a - b| / max |b|
  std::vector<Output> outputs;
  bool passed() const;
};
std::string to_text(const OutputCheck& check);
std::string to_json(const OutputCheck& check);

}  // namespace octet
