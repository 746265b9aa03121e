#include "report/performance.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>

#include "report/json_text.h"
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
  std::string text =
      (report.load_ms > 0 ? "Load " + short_number(report.load_ms) : "Build " + short_number(report.build_ms)) +
      " ms, first run " + short_number(report.first_run_ms) + " ms; packed weights " +
      fixed(static_cast<double>(report.weight_bytes) / 1048576, 2) + " MiB, a context " +
      fixed(static_cast<double>(report.context_bytes) / 1048576, 2) + " MiB\n";
  text += "Warmup completed " + std::to_string(report.warmup_queries) + " queries over " +
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
  if (report.streams > 1)
    text += "* " + std::to_string(report.streams) +
            " streams run at the same time: a latency is that of a query beside others; throughput is the figure.\n";
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
  j["streams"] = report.streams;
  j["load_ms"] = report.load_ms;
  j["build_ms"] = report.build_ms;
  j["first_run_ms"] = report.first_run_ms;
  j["weight_bytes"] = report.weight_bytes;
  j["context_bytes"] = report.context_bytes;
  if (!report.layers.empty()) {
    j["layers"] = nlohmann::ordered_json::array();
    for (const LayerTime& l : report.layers)
      j["layers"].push_back({{"name", l.name}, {"op", l.op}, {"tactic", l.tactic}, {"averageMs", l.mean_ms}});
    const double runs = std::max<double>(static_cast<double>(report.profile.runs()), 1);
    j["unattributed_ms"] = report.profile.unattributed_ms() / runs;
    j["profiled_run_ms"] = report.profile.total_ms() / runs;
  }
  if (report.roofline) j["roofline"] = nlohmann::ordered_json::parse(to_json(*report.roofline));
  return json_text(j);
}

std::string profile_text(const PerformanceReport& report) {
  const RunProfile& profile = report.profile;
  const double runs = std::max<double>(static_cast<double>(profile.runs()), 1);
  const double run = profile.total_ms() / runs, rest = profile.unattributed_ms() / runs;
  const auto percent = [&](double ms) { return fixed(run > 0 ? 100 * ms / run : 0, 1); };
  std::vector<std::vector<std::string>> rows = {{"Avg.(ms)", "Time(%)", "Layer", "Op", "Tactic"}};
  for (const LayerTime& l : report.layers)
    rows.push_back({fixed(l.mean_ms, 4), percent(l.mean_ms), l.name, l.op, l.tactic});
  rows.push_back({fixed(rest, 4), percent(rest), "unattributed"});
  rows.push_back({fixed(run, 4), "100.0", "Total"});
  return "=== Profile (" + std::to_string(profile.runs()) + " iterations ) ===\n" + text_table(rows);
}

namespace {

/// Of n in order, from below: the rank of the interval's lower end (performance.h); 0 where no rank is enough.
size_t lower_rank(size_t n) {
  double below = std::pow(0.5, static_cast<double>(n)), term = below;  // P(fewer than r of n fair coins are heads)
  size_t r = 0;
  while (r < n / 2 && 2 * below <= 0.05) {
    ++r;
    term *= static_cast<double>(n - r + 1) / static_cast<double>(r);
    below += term;
  }
  return r;
}

}  // namespace

SpeedUp speed_up(const PerformanceReport& first, const PerformanceReport& second) {
  const std::vector<float> a = column(first, latency_of), b = column(second, latency_of);
  const auto median = [](std::span<const float> ms) { return static_cast<double>(summarize_latency(ms, {}).median); };
  SpeedUp s;
  s.ratio = median(b) > 0 ? median(a) / median(b) : 0;
  s.high = std::numeric_limits<double>::infinity();
  s.pairs = std::min(first.engine_starts.size(), second.engine_starts.size());
  std::vector<double> ratios;
  for (size_t i = 0; i < s.pairs; ++i) {
    const auto queries = [&](const std::vector<float>& ms, const std::vector<size_t>& starts) {
      const size_t end = i + 1 < starts.size() ? starts[i + 1] : ms.size();
      return std::span(ms).subspan(starts[i], end - starts[i]);
    };
    const double below = median(queries(b, second.engine_starts));
    ratios.push_back(below > 0 ? median(queries(a, first.engine_starts)) / below : 0);
  }
  if (s.pairs < 2) return s;
  std::sort(ratios.begin(), ratios.end());
  s.ratio = s.pairs % 2 ? ratios[s.pairs / 2] : (ratios[s.pairs / 2 - 1] + ratios[s.pairs / 2]) / 2;
  const size_t rank = lower_rank(s.pairs);
  if (rank == 0) return s;
  s.low = ratios[rank - 1];
  s.high = ratios[s.pairs - rank];
  return s;
}

std::string speedup_text(const PerformanceReport& first, const PerformanceReport& second) {
  const LatencySummary a = summarize_latency(column(first, latency_of), {});
  const LatencySummary b = summarize_latency(column(second, latency_of), {});
  const SpeedUp s = speed_up(first, second);
  std::string text = "speed-up " + fixed(s.ratio, 3);
  text += std::isfinite(s.high) ? ", 95 % interval " + fixed(s.low, 3) + " to " + fixed(s.high, 3) + " of " +
                                      std::to_string(s.pairs) + " pairs of fresh engines"
                                : ", too few engines for an interval";
  text += " (median " + short_number(a.median) + " ms -> " + short_number(b.median) + " ms, " +
          std::to_string(first.queries.size()) + " queries each in turns)";
  return text + (s.is_shown() ? "\n" : ": no difference shown\n");
}

std::string paired_json(const PerformanceReport& first, const PerformanceReport& second) {
  const SpeedUp s = speed_up(first, second);
  nlohmann::ordered_json j = {{"first", nlohmann::ordered_json::parse(to_json(first))},
                              {"second", nlohmann::ordered_json::parse(to_json(second))}};
  j["speedup"] = s.ratio;
  j["pairs_of_engines"] = s.pairs;
  j["speedup_ci95"] = std::isfinite(s.high) ? nlohmann::ordered_json{s.low, s.high} : nlohmann::ordered_json();
  j["difference_shown"] = s.is_shown();
  return json_text(j);
}

bool OutputCheck::passed() const {
  return std::all_of(outputs.begin(), outputs.end(), [&](const Output& o) { return o.within(tolerance); });
}

std::string to_text(const OutputCheck& check) {
  std::string text;
  for (const OutputCheck::Output& o : check.outputs)
    text += "output " + o.name + ": largest difference " + short_number(o.max_error) + " of " +
            short_number(o.max_value) + " (allowed " + short_number(check.tolerance * o.max_value) + "), cosine " +
            fixed(o.cosine, 6) + "\n";
  return text + "outputs against " + check.file + ": " + (check.passed() ? "as expected" : "NOT as expected") + "\n";
}

std::string to_json(const OutputCheck& check) {
  nlohmann::ordered_json j = {{"file", check.file}, {"passed", check.passed()}, {"tolerance", check.tolerance}};
  for (const OutputCheck::Output& o : check.outputs)
    j["outputs"].push_back(
        {{"name", o.name}, {"max_error", o.max_error}, {"max_value", o.max_value}, {"cosine", o.cosine}});
  return json_text(j);
}

}  // namespace octet
