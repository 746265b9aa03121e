#include "report/performance.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "report/text_table.h"

namespace octet {
namespace {

std::vector<float> column(const PerformanceReport& report, float (*pick)(const QueryTimes&)) {
  std::vector<float> ms;
  ms.reserve(report.queries.size());
  for (const QueryTimes& q : report.queries) ms.push_back(pick(q));
  return ms;
}

float latency_of(const QueryTimes& q) { return q.h2d + q.compute + q.d2h; }
float compute_of(const QueryTimes& q) { return q.compute; }

std::string summary_line(const std::string& title, const LatencySummary& s, std::span<const float> percents) {
  std::string line = title + ": min = " + short_number(s.min) + " ms, max = " + short_number(s.max) +
                     " ms, mean = " + short_number(s.mean) + " ms, median = " + short_number(s.median) + " ms";
  for (size_t i = 0; i < percents.size(); ++i)
    line += ", percentile(" + short_number(percents[i]) + "%) = " + short_number(s.percentiles[i]) + " ms";
  return line + "\n";
}

/// Coefficient of variance in percent: 100 * sqrt(population variance) / mean.
double variation(std::span<const float> ms) {
  if (ms.empty()) return 0;
  const double mean = std::accumulate(ms.begin(), ms.end(), 0.0) / static_cast<double>(ms.size());
  double squares = 0;
  for (const float v : ms) squares += (v - mean) * (v - mean);
  return mean > 0 ? 100 * std::sqrt(squares / static_cast<double>(ms.size())) / mean : 0;
}

std::string trace_text(const PerformanceReport& report) {
  constexpr size_t k_group = 10;
  std::string text = "\n=== Trace details ===\nTrace averages of 10 runs:\n";
  for (size_t begin = 0; begin + k_group <= report.queries.size(); begin += k_group) {
    double compute = 0, host = 0, enqueue = 0;
    for (size_t i = begin; i < begin + k_group; ++i) {
      compute += report.queries[i].compute;
      host += latency_of(report.queries[i]);
      enqueue += report.queries[i].enqueue;
    }
    text += "Average on 10 runs - GPU latency: " + short_number(compute / k_group) +
            " ms - Host latency: " + short_number(host / k_group) + " ms (enqueue " + short_number(enqueue / k_group) +
            " ms)\n";
  }
  return text;
}

nlohmann::ordered_json latency_json(const LatencySummary& s, std::span<const float> percents) {
  nlohmann::ordered_json j = {{"min", s.min}, {"max", s.max}, {"mean", s.mean}, {"median", s.median}};
  for (size_t i = 0; i < percents.size(); ++i) j["p" + short_number(percents[i])] = s.percentiles[i];
  return j;
}

}  // namespace

LatencySummary summarize_latency(std::span<const float> ms, std::span<const float> percents) {
  LatencySummary s;
  s.percentiles.assign(percents.size(), 0.0f);
  if (ms.empty()) return s;
  std::vector<float> sorted(ms.begin(), ms.end());
  std::sort(sorted.begin(), sorted.end());
  const auto n = static_cast<int64_t>(sorted.size());
  s.min = sorted.front();
  s.max = sorted.back();
  s.mean = static_cast<float>(std::accumulate(sorted.begin(), sorted.end(), 0.0) / static_cast<double>(n));
  const size_t half = sorted.size() / 2;
  s.median = n % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  for (size_t i = 0; i < percents.size(); ++i) {
    const auto excluded = static_cast<int64_t>((1 - percents[i] / 100) * static_cast<float>(n));
    s.percentiles[i] = sorted[static_cast<size_t>(std::max<int64_t>(n - 1 - excluded, 0))];
  }
  return s;
}

std::string to_text(const PerformanceReport& report, bool trace) {
  const std::vector<float> compute = column(report, compute_of);
  const auto line = [&](const char* title, float (*pick)(const QueryTimes&)) {
    return summary_line(title, summarize_latency(column(report, pick), report.percents), report.percents);
  };
  const auto n = static_cast<double>(report.queries.size());
  const double mean_compute = n > 0 ? std::accumulate(compute.begin(), compute.end(), 0.0) / n : 0;
  std::string text = "Warmup completed " + std::to_string(report.warmup_queries) + " queries over " +
                     short_number(report.warmup_ms) + " ms\nTiming trace has " + std::to_string(report.queries.size()) +
                     " queries over " + short_number(report.walltime_s) + " s\n";
  if (trace) text += trace_text(report);
  text += "\n=== Performance summary ===\n";
  text += "Throughput: " + short_number(report.walltime_s > 0 ? n / report.walltime_s : 0) + " qps\n";
  text += line("Latency", latency_of);
  text += line("Enqueue Time", [](const QueryTimes& q) { return q.enqueue; });
  text += line("H2D Latency", [](const QueryTimes& q) { return q.h2d; });
  text += line("GPU Compute Time", compute_of);
  text += line("D2H Latency", [](const QueryTimes& q) { return q.d2h; });
  text += "Total Host Walltime: " + short_number(report.walltime_s) + " s\n";
  text += "Total GPU Compute Time: " + short_number(mean_compute * n / 1000) + " s\n";
  if (const double cv = variation(compute); cv > 2.5)
    text += "* GPU compute time is unstable, with coefficient of variance = " + short_number(cv) +
            "%.\n  On a CPU: stop other programs, pin the process (taskset) or fix the clock.\n";
  return text;
}

std::string to_json(const PerformanceReport& report) {
  const std::vector<float> compute = column(report, compute_of);
  const std::vector<float> latency = column(report, latency_of);
  nlohmann::ordered_json j;
  j["model"] = report.model;
  j["throughput_qps"] = report.walltime_s > 0 ? static_cast<double>(report.queries.size()) / report.walltime_s : 0.0;
  j["latency_ms"] = latency_json(summarize_latency(latency, report.percents), report.percents);
  j["compute_ms"] = latency_json(summarize_latency(compute, report.percents), report.percents);
  j["h2d_ms"] = latency_json(
      summarize_latency(column(report, [](const QueryTimes& q) { return q.h2d; }), report.percents), report.percents);
  j["d2h_ms"] = latency_json(
      summarize_latency(column(report, [](const QueryTimes& q) { return q.d2h; }), report.percents), report.percents);
  j["queries"] = report.queries.size();
  j["walltime_s"] = report.walltime_s;
  j["variation_percent"] = variation(compute);
  j["device"] = report.device;
  j["isa"] = report.isa;
  j["precision"] = report.precision;
  j["threads"] = report.threads;
  j["batch"] = report.batch;
  if (!report.layers.empty()) {
    j["layers"] = nlohmann::ordered_json::array();
    for (const LayerTime& l : report.layers)
      j["layers"].push_back({{"name", l.name}, {"op", l.op}, {"tactic", l.tactic}, {"averageMs", l.mean_ms}});
  }
  if (report.roofline) j["roofline"] = nlohmann::ordered_json::parse(to_json(*report.roofline));
  return j.dump(2);
}

std::string profile_text(const PerformanceReport& report) {
  double total = 0;
  for (const LayerTime& l : report.layers) total += l.mean_ms;
  std::vector<std::vector<std::string>> rows = {{"Avg.(ms)", "Time(%)", "Layer", "Op", "Tactic"}};
  for (const LayerTime& l : report.layers)
    rows.push_back({fixed(l.mean_ms, 4), fixed(total > 0 ? 100 * l.mean_ms / total : 0, 1), l.name, l.op, l.tactic});
  rows.push_back({fixed(total, 4), "100.0", "Total"});
  return "=== Profile (" + std::to_string(report.queries.size()) + " iterations ) ===\n" + text_table(rows);
}

std::string speedup_text(const PerformanceReport& first, const PerformanceReport& second) {
  const LatencySummary a = summarize_latency(column(first, latency_of), {});
  const LatencySummary b = summarize_latency(column(second, latency_of), {});
  return "speed-up " + fixed(b.median > 0 ? a.median / b.median : 0, 2) + " (median " + short_number(a.median) +
         " ms -> " + short_number(b.median) + " ms, " + std::to_string(first.queries.size()) +
         " queries each in turns)\n";
}

}  // namespace octet
