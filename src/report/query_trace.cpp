#include "report/query_trace.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "report/performance.h"
#include "report/text_table.h"

namespace octet {
namespace {

using Lines = std::vector<ReportLine>;

/// trtexec shows the first and the last so many averages of a long trace (10.x).
constexpr size_t k_shown_averages = 200;

std::vector<float> column(std::span<const QueryTrace> queries, float (QueryTrace::*pick)() const) {
  std::vector<float> ms;
  ms.reserve(queries.size());
  for (const QueryTrace& q : queries) ms.push_back((q.*pick)());
  return ms;
}

void trace_lines(std::span<const QueryTrace> queries, int runs, Lines& lines) {
  lines.push_back({LineKind::info, ""});
  lines.push_back({LineKind::info, "=== Trace details ==="});
  lines.push_back({LineKind::info, "Trace averages of " + std::to_string(runs) + " runs:"});
  const auto group = static_cast<size_t>(runs);
  const size_t groups = queries.size() / group;
  for (size_t g = 0; g < groups; ++g) {
    if (groups > 2 * k_shown_averages && g == k_shown_averages) {
      const size_t omitted = groups - 2 * k_shown_averages;
      lines.push_back({LineKind::info, "... Omitting " + std::to_string(omitted) + " lines"});
      g += omitted;
    }
    float compute = 0, latency = 0, enqueue = 0;
    for (size_t i = g * group; i < (g + 1) * group; ++i) {
      compute += queries[i].compute();
      latency += queries[i].latency();
      enqueue += queries[i].enqueue();
    }
    const auto n = static_cast<float>(runs);
    lines.push_back({LineKind::info, "Average on " + std::to_string(runs) +
                                         " runs - GPU latency: " + short_number(compute / n) +
                                         " ms - Host latency: " + short_number(latency / n) + " ms (enqueue " +
                                         short_number(enqueue / n) + " ms)"});
  }
}

std::string metric_text(const std::string& title, const LatencySummary& s, std::span<const float> percents) {
  std::string line = title + ": min = " + short_number(s.min) + " ms, max = " + short_number(s.max) +
                     " ms, mean = " + short_number(s.mean) + " ms, median = " + short_number(s.median) + " ms";
  for (size_t i = 0; i < percents.size(); ++i)
    line += ", percentile(" + short_number(percents[i]) + "%) = " + short_number(s.percentiles[i]) + " ms";
  return line;
}

struct Medians {
  float enqueue = 0, h2d = 0, compute = 0, d2h = 0;
};

void warning_lines(const Medians& m, float variation, const SummaryOptions& options, Lines& lines) {
  const auto warn = [&](std::string first, std::string hint) {
    lines.push_back({LineKind::warning, std::move(first)});
    if (!hint.empty()) lines.push_back({LineKind::warning, "  " + std::move(hint)});
  };
  if (m.enqueue > 0.8f * m.compute)
    warn("* Throughput may be bound by Enqueue Time rather than GPU Compute and the GPU may be under-utilized.",
         options.on_gpu
             ? "If not already in use, --useCudaGraph (utilize CUDA graphs where possible) may increase the throughput."
             : "On a CPU: a larger batch gives each query more work.");
  for (const auto& [median, what] : {std::pair(m.h2d, "host-to-device transfers for the inputs"),
                                     std::pair(m.d2h, "device-to-host transfers for the outputs")})
    if (median >= m.compute)
      warn("* Throughput may be bound by " + std::string(what) +
               " rather than GPU Compute and the GPU may be under-utilized.",
           "Add --noDataTransfers flag to disable data transfers.");
  if (variation > static_cast<float>(options.unstable_percent))
    warn("* GPU compute time is unstable, with coefficient of variance = " + short_number(variation) + "%.",
         options.on_gpu
             ? "If not already in use, locking GPU clock frequency or adding --useSpinWait may improve the "
               "stability."
             : "On a CPU: stop other programs, pin the process to CPUs of its own (taskset) or fix the clock.");
  if (options.streams > 1)
    warn(
        "* Multiple inference streams are used. Latencies may not be accurate since inferences may run in   parallel. "
        "Please use \"Throughput\" as the performance metric instead.",
        "");
}

void explanation_lines(Lines& lines) {
  lines.push_back({LineKind::info, "Explanations of the performance metrics are printed in the verbose logs."});
  for (const char* text :
       {"", "=== Explanations of the performance metrics ===",
        "Total Host Walltime: from the first measured query's start to the last one's end.",
        "GPU Compute Time: the time of the network itself for one query (on a CPU: of the run call).",
        // NOLINTNEXTLINE(bugprone-suspicious-missing-comma)
        "Total GPU Compute Time: the sum of GPU Compute Time over all queries. Much below Total Host Walltime means "
        "that "
        "something else takes the time.",
        "Throughput: queries divided by Total Host Walltime.",
        "Enqueue Time: the time to hand a query over, not to finish it.",
        "H2D Latency: the time to bring one query's inputs into the engine's buffers.",
        "D2H Latency: the time to bring one query's outputs out of them.",
        "Latency: H2D Latency + GPU Compute Time + D2H Latency of one query."})
    lines.push_back({LineKind::verbose, text});
  lines.push_back({LineKind::info, ""});
}

void epilog_lines(std::span<const QueryTrace> queries, float walltime_ms, const SummaryOptions& options, Lines& lines) {
  const auto metric = [&](const char* title, float (QueryTrace::*pick)() const) {
    const LatencySummary s = summarize_latency(column(queries, pick), options.percents);
    lines.push_back({LineKind::info, metric_text(title, s, options.percents)});
    return s;
  };
  const auto n = static_cast<float>(queries.size());
  lines.push_back({LineKind::info, ""});
  lines.push_back({LineKind::info, "=== Performance summary ==="});
  lines.push_back(
      {LineKind::info, "Throughput: " + short_number(walltime_ms > 0 ? n / walltime_ms * 1000 : 0) + " qps"});
  metric("Latency", &QueryTrace::latency);
  const LatencySummary enqueue = metric("Enqueue Time", &QueryTrace::enqueue);
  const LatencySummary h2d = metric("H2D Latency", &QueryTrace::h2d);
  const LatencySummary compute = metric("GPU Compute Time", &QueryTrace::compute);
  const LatencySummary d2h = metric("D2H Latency", &QueryTrace::d2h);
  lines.push_back({LineKind::info, "Total Host Walltime: " + short_number(walltime_ms / 1000) + " s"});
  lines.push_back({LineKind::info, "Total GPU Compute Time: " + short_number(compute.mean * n / 1000) + " s"});
  warning_lines({enqueue.median, h2d.median, compute.median, d2h.median},
                variation_percent(column(queries, &QueryTrace::compute)), options, lines);
  explanation_lines(lines);
}

float median_of(std::vector<float> ms) { return summarize_latency(ms, {}).median; }

double sum_of(std::span<const float> ms) { return std::accumulate(ms.begin(), ms.end(), 0.0); }

std::string padded(const std::string& text, size_t width) {
  return text.size() < width ? std::string(width - text.size(), ' ') + text : text;
}

}  // namespace

float variation_percent(std::span<const float> ms) {
  if (ms.empty()) return 0;
  const auto n = static_cast<float>(ms.size());
  const float mean = std::accumulate(ms.begin(), ms.end(), 0.0f) / n;
  if (mean == 0) return std::numeric_limits<float>::infinity();
  float squares = 0;
  for (const float v : ms) squares += (v - mean) * (v - mean);
  return std::sqrt(squares / n) / mean * 100;
}

size_t first_measured(std::span<const QueryTrace> trace, double warmup_ms) {
  const auto found =
      std::find_if(trace.begin(), trace.end(), [&](const QueryTrace& q) { return q.compute_start >= warmup_ms; });
  return static_cast<size_t>(found - trace.begin());
}

std::vector<ReportLine> summary_lines(std::span<const QueryTrace> trace, const SummaryOptions& options) {
  Lines lines;
  const size_t warmups = first_measured(trace, options.warmup_ms);
  const std::span<const QueryTrace> queries = trace.subspan(warmups);
  const auto walltime_ms = static_cast<float>(queries.empty() ? 0 : queries.back().d2h_end - queries.front().h2d_start);
  lines.push_back({LineKind::info, "Warmup completed " + std::to_string(warmups) + " queries over " +
                                       short_number(options.warmup_ms) + " ms"});
  lines.push_back({LineKind::info, "Timing trace has " + std::to_string(queries.size()) + " queries over " +
                                       short_number(walltime_ms / 1000) + " s"});
  if (queries.empty()) {
    lines.push_back({LineKind::warning,
                     "No query was left after the warm-up, so there is nothing to report: raise --iterations or "
                     "--duration, or lower --warmUp."});
    return lines;
  }
  trace_lines(queries, options.runs_per_average, lines);
  epilog_lines(queries, walltime_ms, options, lines);
  return lines;
}

std::string times_json(std::span<const QueryTrace> measured) {
  std::string text = "[\n";
  const char* sep = "  ";
  for (const QueryTrace& q : measured) {
    text += std::string(sep) + "{ ";
    const std::pair<const char*, double> fields[] = {{"startEnqMs", q.enqueue_start},
                                                     {"endEnqMs", q.enqueue_end},
                                                     {"startH2dMs", q.h2d_start},
                                                     {"endH2dMs", q.h2d_end},
                                                     {"startComputeMs", q.compute_start},
                                                     {"endComputeMs", q.compute_end},
                                                     {"startD2hMs", q.d2h_start},
                                                     {"endD2hMs", q.d2h_end},
                                                     {"h2dMs", q.h2d()},
                                                     {"computeMs", q.compute()},
                                                     {"d2hMs", q.d2h()},
                                                     {"latencyMs", q.latency()}};
    for (size_t i = 0; i < std::size(fields); ++i)
      text += (i ? ", \"" : "\"") + std::string(fields[i].first) + "\" : " + short_number(fields[i].second);
    text += " }\n";
    sep = ", ";
  }
  return text + "]\n";
}

double RunProfile::total_ms() const { return sum_of(run_ms); }

double RunProfile::unattributed_ms() const {
  double layers_ms = 0;
  for (const LayerSamples& layer : layers) layers_ms += sum_of(layer.ms);
  return total_ms() - layers_ms;
}

std::string profile_json(const RunProfile& profile) {
  std::string text = "[\n  { \"count\" : " + std::to_string(profile.runs()) + " }\n";
  double total = 0;
  for (const LayerSamples& layer : profile.layers) total += sum_of(layer.ms);
  for (const LayerSamples& layer : profile.layers) {
    const double sum = sum_of(layer.ms);
    const double n = std::max<double>(static_cast<double>(layer.ms.size()), 1);
    text += ", { \"name\" : \"" + json_escaped(layer.name) + "\", \"timeMs\" : " + short_number(sum) +
            ", \"averageMs\" : " + short_number(sum / n) + ", \"medianMs\" : " + short_number(median_of(layer.ms)) +
            ", \"percentage\" : " + short_number(total > 0 ? 100 * sum / total : 0) + " }\n";
  }
  return text + "]\n";
}

std::vector<std::string> profile_lines(const RunProfile& profile) {
  // Widths are those of the heads: 11, 13, 13 and 10 characters.
  const std::string head = "   Time(ms)     Avg.(ms)   Median(ms)   Time(%)   Layer";
  std::vector<std::string> lines = {"", "=== Profile (" + std::to_string(profile.runs()) + " iterations ) ===", head};
  double total = 0;
  for (const LayerSamples& layer : profile.layers) total += sum_of(layer.ms);
  const auto row = [&](double sum, double average, double median, double percent, const std::string& name) {
    lines.push_back(padded(fixed(sum, 2), 11) + padded(fixed(average, 4), 13) + padded(fixed(median, 4), 13) +
                    padded(fixed(percent, 1), 10) + "   " + name);
  };
  for (const LayerSamples& layer : profile.layers) {
    const double sum = sum_of(layer.ms);
    if (sum == 0) continue;
    row(sum, sum / static_cast<double>(layer.ms.size()), median_of(layer.ms), 100 * sum / total, layer.name);
  }
  std::vector<float> runs(static_cast<size_t>(profile.runs()), 0.0f);
  for (const LayerSamples& layer : profile.layers)
    for (size_t i = 0; i < std::min(runs.size(), layer.ms.size()); ++i) runs[i] += layer.ms[i];
  row(total, runs.empty() ? 0 : total / static_cast<double>(runs.size()), median_of(runs), 100, "Total");
  lines.emplace_back("");
  return lines;
}

std::string attribution_text(const RunProfile& profile) {
  const double n = std::max<double>(static_cast<double>(profile.runs()), 1);
  const double run = profile.total_ms(), rest = profile.unattributed_ms();
  return "layers " + fixed((run - rest) / n, 4) + " ms + unattributed " + fixed(rest / n, 4) + " ms (" +
         fixed(run > 0 ? 100 * rest / run : 0, 1) + " %) = run " + fixed(run / n, 4) + " ms";
}

std::string chrome_trace_json(const RunProfile& profile, const std::string& title, size_t max_runs) {
  // Times are microseconds; layers of a run follow one another from its start, what is left is the unattributed rest.
  std::string text =
      "{\"displayTimeUnit\": \"ns\", \"traceEvents\": [\n{\"name\": \"process_name\", \"ph\": \"M\", "
      "\"pid\": 1, \"args\": {\"name\": \"" +
      json_escaped(title) + "\"}}";
  // Begin and end are rounded to nanoseconds, not the duration: neighbours share the number between them and never
  // overlap, however the fractions fall.
  const auto slice = [&](const std::string& name, const char* category, double begin_ms, double end_ms) {
    const double begin_ns = std::round(begin_ms * 1e6), end_ns = std::round(end_ms * 1e6);
    text += ",\n{\"name\": \"" + json_escaped(name) + "\", \"cat\": \"" + category +
            "\", \"ph\": \"X\", \"pid\": 1, \"tid\": 1, \"ts\": " + fixed(begin_ns / 1000, 3) +
            ", \"dur\": " + fixed((end_ns - begin_ns) / 1000, 3) + "}";
  };
  double at = 0;
  for (size_t run = 0; run < std::min(profile.run_ms.size(), max_runs); ++run) {
    double layers_ms = 0;  // on a GPU the layers may sum up to more, by noise: slices must nest all the same
    for (const LayerSamples& layer : profile.layers)
      layers_ms += run < layer.ms.size() ? static_cast<double>(layer.ms[run]) : 0.0;
    const double run_end = at + std::max(static_cast<double>(profile.run_ms[run]), layers_ms);
    slice("run " + std::to_string(run), "run", at, run_end);
    double layer_at = at;
    for (const LayerSamples& layer : profile.layers) {
      if (run >= layer.ms.size() || layer.ms[run] == 0) continue;  // done inside another
      const double layer_end = layer_at + static_cast<double>(layer.ms[run]);
      slice(layer.name, "layer", layer_at, layer_end);
      layer_at = layer_end;
    }
    at = run_end;
  }
  return text + "\n]}\n";
}

}  // namespace octet
