#pragma once
// The page of a whole quantization: accuracy and speed of every form of a network, the histograms behind the ranges,
// errors and times by layer, what was mended, where everything comes from.

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "report/html_page.h"
#include "report/layer_errors.h"
#include "report/performance.h"

namespace octet {

/// One form of the network: a row of the table.
struct StoryRow {
  std::string name;                 // "INT8, entropy"
  double top1 = 0;                  // share
  std::optional<double> agreement;  // with the first row
  double latency_ms = 0;            // median; 0 = not measured
  double speed_up = 0;              // against the first row; 0 = not measured
  int64_t bytes = 0;
};

struct Story {
  std::string title, summary;
  std::vector<StoryRow> rows;
  std::vector<HtmlHistogram> histograms;
  std::optional<LayerErrorReport> errors;
  std::optional<PerformanceReport> first, second;  // alternating; layers where they were profiled
  std::vector<std::vector<std::string>> repairs;   // head first; empty = nothing was mended
  std::vector<std::pair<std::string, std::string>> provenance;
};

std::string story_page(const Story& story);
/// The table alone, as text.
std::string story_table(const Story& story);

}  // namespace octet
