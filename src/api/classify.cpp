#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>

#include "api/samples.h"
#include "base/file.h"
#include "octet/tasks.h"
#include "report/json_text.h"
#include "report/text_table.h"

namespace octet {
namespace {

constexpr double k_shown_percent = 10;  // the practical guide lists classes above 10 %

Result<std::vector<std::string>> class_names(const std::string& path) {
  std::vector<std::string> names;
  if (path.empty()) return names;
  const Result<std::string> text = read_text_file(path);
  if (!text) return text.error();
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    names.push_back(line);
  }
  while (!names.empty() && names.back().empty()) names.pop_back();
  return names;
}

std::vector<double> softmax(std::span<const float> row) {
  const float top = *std::max_element(row.begin(), row.end());
  std::vector<double> p(row.size());
  double sum = 0;
  for (size_t i = 0; i < row.size(); ++i) sum += p[i] = std::exp(static_cast<double>(row[i]) - top);
  for (double& v : p) v /= sum;
  return p;
}

Classification classification_of(const std::string& image, std::span<const float> row, bool probabilities,
                                 const std::vector<std::string>& names) {
  const std::vector<double> p = probabilities ? std::vector<double>(row.begin(), row.end()) : softmax(row);
  std::vector<size_t> order(p.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] > p[b]; });
  Classification c{image, {}};
  for (const size_t i : order) {
    if (!(100 * p[i] > k_shown_percent)) break;
    c.lines.push_back({i < names.size() ? names[i] : std::to_string(i), static_cast<int64_t>(i), 100 * p[i]});
  }
  return c;
}

}  // namespace

Result<ClassifyReport> classify(Session& session, const ClassifySpec& spec) {
  const Result<std::vector<std::string>> names = class_names(spec.classes_file);
  if (!names) return names.error();
  const Result<SampleSet> data = open_data(spec.data, session);
  if (!data) return data.error();
  Result<SampleBuffers> buffers = SampleBuffers::make(session);
  if (!buffers) return buffers.error();
  ClassifyReport report;
  report.note = preprocess_note(*data, session);
  for (int64_t begin = 0; begin < data->size(); begin += session.batch()) {
    const int64_t count = std::min(session.batch(), data->size() - begin);
    if (const Result<Done> filled = buffers->fill(*data, begin, count); !filled) return filled.error();
    if (const Result<Done> ran = buffers->run(session); !ran) return ran.error();
    for (int64_t i = 0; i < count; ++i) {
      const std::span<const float> row = buffers->row(i);
      if (!names->empty() && names->size() != row.size())
        return Error{ErrorCode::bad_argument, spec.classes_file + ": has " + std::to_string(names->size()) +
                                                  " class names, the network has " + std::to_string(row.size()) +
                                                  " outputs"};
      report.images.push_back(classification_of(data->sample_name(begin + i), row, session.ends_in_softmax(), *names));
    }
    if (spec.progress) spec.progress(begin + count, data->size());
  }
  if (spec.iterations <= 0) return report;
  if (const Result<Done> filled = buffers->fill(*data, 0, 1); !filled) return filled.error();
  for (int64_t i = 0; i < spec.warmup; ++i)
    if (const Result<Done> ran = buffers->run(session); !ran) return ran.error();
  const auto start = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < spec.iterations; ++i)
    if (const Result<Done> ran = buffers->run(session); !ran) return ran.error();
  const double ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  report.average_latency_ms = ms / static_cast<double>(spec.iterations);
  return report;
}

std::string to_text(const ClassifyReport& report) {
  std::string text;
  for (const Classification& c : report.images) {
    if (report.images.size() > 1) text += c.image + "\n";
    for (const ClassLine& line : c.lines)
      text += "class: " + line.name + " , confidence: " + fixed(line.confidence, 4) +
              " %, index: " + std::to_string(line.index) + "\n";
    if (c.lines.empty()) text += "no class above 10 %\n";
  }
  if (report.average_latency_ms > 0) text += "Average Latency: " + fixed(report.average_latency_ms, 2) + " ms\n";
  return text;
}

std::string to_json(const ClassifyReport& report) {
  nlohmann::ordered_json j;
  if (!report.note.empty()) j["note"] = report.note;
  j["images"] = nlohmann::ordered_json::array();
  for (const Classification& c : report.images) {
    nlohmann::ordered_json lines = nlohmann::ordered_json::array();
    for (const ClassLine& l : c.lines)
      lines.push_back({{"class", l.name}, {"confidence", l.confidence}, {"index", l.index}});
    j["images"].push_back({{"image", c.image}, {"classes", lines}});
  }
  if (report.average_latency_ms > 0) j["average_latency_ms"] = report.average_latency_ms;
  return json_text(j);
}

}  // namespace octet
