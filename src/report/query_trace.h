#pragma once
// What trtexec prints and writes about measured queries: the trace, the summary with its warnings, the files.
// Formats and definitions: NVIDIA/TensorRT samples/common/sampleReporting.cpp (8.6 to 11.1), restated in
// docs/trtexec.md.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace octet {

/// Milliseconds since the common start of all streams.
struct QueryTrace {
  // Doubles, because a float of some seconds moves in steps of a quarter microsecond.
  double enqueue_start = 0, enqueue_end = 0, h2d_start = 0, h2d_end = 0;
  double compute_start = 0, compute_end = 0, d2h_start = 0, d2h_end = 0;

  float enqueue() const { return static_cast<float>(enqueue_end - enqueue_start); }
  float h2d() const { return static_cast<float>(h2d_end - h2d_start); }
  float compute() const { return static_cast<float>(compute_end - compute_start); }
  float d2h() const { return static_cast<float>(d2h_end - d2h_start); }
  /// Waiting between the phases is not part of it.
  float latency() const { return h2d() + compute() + d2h(); }
};

enum class LineKind { info, warning, verbose };
struct ReportLine {
  LineKind kind = LineKind::info;
  std::string text;
};

struct SummaryOptions {
  double warmup_ms = 200;
  int runs_per_average = 10;
  std::vector<float> percents = {90, 95, 99};
  int streams = 1;
  double unstable_percent = 1.0;  // coefficient of variance above which trtexec warns: 1.0 up to 10.13.0, 2.5 later
  bool on_gpu = false;            // hints about CUDA make sense
};

/// Index of the first query whose compute started at or after the warm-up's end. trace: sorted by h2d_start.
size_t first_measured(std::span<const QueryTrace> trace, double warmup_ms);

/// Everything from "Warmup completed" to the explanations; says so when nothing is left after the warm-up.
std::vector<ReportLine> summary_lines(std::span<const QueryTrace> trace, const SummaryOptions& options);

/// Population standard deviation over mean, in percent; 0 without values, infinite for a mean of 0.
float variation_percent(std::span<const float> ms);

/// --exportTimes: measured queries only.
std::string times_json(std::span<const QueryTrace> measured);

/// One layer's time in each profiled run.
struct LayerSamples {
  std::string name;
  std::vector<float> ms;
};
struct RunProfile {
  std::vector<LayerSamples> layers;  // in running order
  std::vector<float> run_ms;         // the whole run call, by run
  int64_t runs() const { return static_cast<int64_t>(run_ms.size()); }
  /// Time of the runs that no layer accounts for, in ms over all runs: layers + unattributed = sum of run_ms.
  double unattributed_ms() const;
  double total_ms() const;
};
/// --exportProfile.
std::string profile_json(const RunProfile& profile);
/// --dumpProfile, a line each; layers without time are left out.
std::vector<std::string> profile_lines(const RunProfile& profile);
/// "layers 0.1929 ms + unattributed 0.0004 ms (0.2 %) = run 0.1933 ms".
std::string attribution_text(const RunProfile& profile);
/// The profile as a trace for chrome://tracing and Perfetto: the runs one after the other, each layer a slice.
std::string chrome_trace_json(const RunProfile& profile, const std::string& title, size_t max_runs);

}  // namespace octet
