#include "report/story_page.h"

#include <algorithm>
#include <cmath>

#include "report/text_table.h"

namespace octet {
namespace {

constexpr size_t k_open_histograms = 6;
constexpr int k_latency_bins = 60;

std::vector<std::vector<std::string>> table_rows(const Story& story) {
  std::vector<std::vector<std::string>> rows = {{"", "top-1", "same answers", "latency", "speed-up", "file"}};
  for (const StoryRow& r : story.rows)
    rows.push_back({r.name, fixed(100 * r.top1, 2) + " %", r.agreement ? fixed(100 * *r.agreement, 2) + " %" : "",
                    r.latency_ms > 0 ? fixed(r.latency_ms, 3) + " ms" : "", r.speed_up > 0 ? fixed(r.speed_up, 2) : "",
                    fixed(static_cast<double>(r.bytes) / 1048576.0, 2) + " MiB"});
  return rows;
}

void add_histograms(HtmlPage& page, const Story& story) {
  if (story.histograms.empty()) return;
  page.heading("Ranges of the activations");
  page.paragraph(
      "Magnitudes that calibration saw, counts on a logarithmic scale, and the amax that each method chose: what lies "
      "to "
      "the right of a line is clipped by it.");
  const auto grid = [&](size_t from, size_t to) {
    page.begin_grid();
    for (size_t i = from; i < to; ++i) page.histogram(story.histograms[i]);
    page.end_grid();
  };
  const size_t open = std::min(k_open_histograms, story.histograms.size());
  grid(0, open);
  if (open == story.histograms.size()) return;
  page.begin_details("the other " + std::to_string(story.histograms.size() - open) + " tensors");
  grid(open, story.histograms.size());
  page.end_details();
}

void add_errors(HtmlPage& page, const LayerErrorReport& report) {
  page.heading("Error of each layer");
  page.paragraph(
      "Signal to quantization noise in dB against the float network: what the layer itself adds, fed with the float "
      "network's values, and what has accumulated as the engine runs. Over " +
      std::to_string(report.samples) + " samples.");
  std::vector<HtmlBar> bars;
  for (const LayerError& layer : report.layers) {
    if (layer.reference.empty()) continue;
    const auto add = [&](const ErrorSums& sums, const std::string& label, int series) {
      const double db = sums.sqnr_db();
      bars.push_back({label, std::isfinite(db) ? std::max(db, 0.0) : 60.0,
                      std::isfinite(db) ? fixed(db, 1) + " dB" : "exact", series});
    };
    if (layer.own) add(*layer.own, layer.name, 1);
    add(layer.accumulated, layer.own ? "" : layer.name, 2);
  }
  page.bars("SQNR", bars, {"", "own", "accumulated"});
}

/// A step that only hands memory on takes less than the clock's step.
std::string microseconds(double ms) {
  const double us = 1000 * ms;
  return us < 0.05 ? "under 0.1 us" : fixed(us, 1) + " us";
}

/// How often each latency occurred, both sessions on one axis.
void add_latencies(HtmlPage& page, const PerformanceReport& first, const PerformanceReport& second) {
  page.heading("Latency");
  double top = 0;
  float slowest = 0;
  for (const PerformanceReport* report : {&first, &second}) {
    std::vector<float> ms;
    for (const QueryTimes& q : report->queries) ms.push_back(q.compute);
    if (ms.empty()) return;
    std::sort(ms.begin(), ms.end());
    slowest = std::max(slowest, ms.back());
    // The slowest percent, at least one of several, is off the figure: it would press the others against the left.
    const size_t cut = ms.size() > 1 ? std::max<size_t>(1, ms.size() / 100) : 0;
    top = std::max(top, 1.02 * double{ms[ms.size() - 1 - cut]});
  }
  std::string speedup = speedup_text(first, second);
  while (speedup.ends_with('\n')) speedup.pop_back();
  page.paragraph("Distribution of " + std::to_string(first.queries.size()) + " queries each, in turns, batch " +
                 std::to_string(first.batch) + (first.device.empty() ? "" : ", " + first.device) + ": " + speedup +
                 ". The figures end behind 99 % of the slower one's queries; the slowest of all took " +
                 short_number(double{slowest}) + " ms.");
  page.begin_grid();
  for (const PerformanceReport* report : {&first, &second}) {
    HtmlHistogram h{.title = report->model + ": milliseconds",
                    .counts = std::vector<double>(k_latency_bins, 0.0),
                    .width = top / k_latency_bins,
                    .marks = {}};
    std::vector<float> ms;
    for (const QueryTimes& q : report->queries) {
      ms.push_back(q.compute);
      const int bin = static_cast<int>(double{q.compute} / h.width);
      if (bin < k_latency_bins) h.counts[static_cast<size_t>(bin)] += 1;
    }
    const std::vector<float> percents = {99.0f};
    const LatencySummary summary = summarize_latency(ms, percents);
    h.marks = {{"median", summary.median}, {"99 %", summary.percentiles.at(0)}};
    page.histogram(h);
  }
  page.end_grid();
}

void add_layer_times(HtmlPage& page, const PerformanceReport& first, const PerformanceReport& second) {
  if (second.layers.empty()) return;
  page.heading("Time of each layer");
  for (const PerformanceReport* report : {&second, &first}) {
    std::vector<HtmlBar> bars;
    for (const LayerTime& layer : report->layers)
      bars.push_back({layer.name.empty() ? layer.op : layer.name, layer.mean_ms,
                      microseconds(layer.mean_ms) + ", " + layer.tactic, report == &second ? 1 : 0});
    if (report == &first) page.begin_details("the same of " + first.model);
    page.bars(report->model, bars);
    if (report == &first) page.end_details();
  }
}

}  // namespace

std::string story_table(const Story& story) { return text_table(table_rows(story)); }

std::string story_page(const Story& story) {
  HtmlPage page(story.title);
  page.paragraph(story.summary);
  page.table(table_rows(story));
  add_histograms(page, story);
  if (story.errors) add_errors(page, *story.errors);
  if (story.first && story.second) {
    add_latencies(page, *story.first, *story.second);
    add_layer_times(page, *story.first, *story.second);
  }
  page.heading("Repairs");
  if (story.repairs.size() > 1) {
    page.table(story.repairs);
  } else {
    page.paragraph("Nothing had to be mended in the file.");
  }
  page.heading("Provenance");
  std::vector<std::vector<std::string>> rows = {{"what", "value"}};
  for (const auto& [what, value] : story.provenance) rows.push_back({what, value});
  page.table(rows);
  return page.text();
}

}  // namespace octet
