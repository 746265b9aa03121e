#include "report/layer_errors.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "report/json_text.h"
#include "report/text_table.h"

namespace octet {
namespace {

nlohmann::ordered_json finite_or_null(double x) { return std::isfinite(x) ? nlohmann::ordered_json(x) : nullptr; }

std::string decibels(double db) { return std::isfinite(db) ? fixed(db, 1) : "equal"; }

}  // namespace

void ErrorSums::add(double x, double y) {
  xx += x * x;
  yy += y * y;
  xy += x * y;
  dd += (x - y) * (x - y);
  largest = std::max(largest, std::fabs(x - y));
  ++count;
}

double ErrorSums::sqnr_db() const {
  return dd > 0 ? 10 * std::log10(xx / dd) : std::numeric_limits<double>::infinity();
}

double ErrorSums::cosine() const { return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : (xx == yy ? 1.0 : 0.0); }

std::string band(double sqnr_db) {
  if (std::isinf(sqnr_db) && sqnr_db > 0) return "exact";
  if (sqnr_db >= 30) return "good";
  if (sqnr_db >= 20) return "fair";
  return sqnr_db >= 10 ? "poor" : "broken";
}

int64_t LayerErrorReport::compared() const {
  return std::count_if(layers.begin(), layers.end(), [](const LayerError& l) { return !l.reference.empty(); });
}

int64_t LayerErrorReport::compared_beyond_inputs() const {
  return std::count_if(layers.begin(), layers.end(),
                       [](const LayerError& l) { return !l.reference.empty() && !l.of_input; });
}

std::string to_text(const LayerErrorReport& report) {
  std::vector<std::vector<std::string>> rows = {{"Layer", "Op", "Own dB", "Own", "Accumulated dB", "Accumulated",
                                                 "Cosine", "Max error", "Clipped %", "Codes used"}};
  for (const LayerError& l : report.layers) {
    if (l.reference.empty()) continue;
    const double acc = l.accumulated.sqnr_db();
    rows.push_back({l.name, l.op, l.own ? decibels(l.own->sqnr_db()) : "-", l.own ? band(l.own->sqnr_db()) : "-",
                    decibels(acc), band(acc), fixed(l.accumulated.cosine(), 5), short_number(l.accumulated.largest),
                    l.is_codes ? fixed(100 * l.clipped, 3) : "-",
                    l.is_codes ? std::to_string(l.used_codes) + "/" + std::to_string(l.codes) : "-"});
  }
  const size_t without = report.layers.size() - static_cast<size_t>(report.compared());
  std::string text = report.engine + " against " + report.model + ", " + std::to_string(report.samples) + " samples, " +
                     report.device + "\n" + text_table(rows);
  if (without > 0) text += std::to_string(without) + " layers make values that the float network does not have\n";
  return text + "outputs with and without taps: " + (report.unchanged ? "equal, byte for byte" : "DIFFERENT") + "\n" +
         "bands: exact, good from 30 dB, fair from 20 dB, poor from 10 dB, broken\n";
}

std::string to_json(const LayerErrorReport& report) {
  nlohmann::ordered_json j = {{"model", report.model},         {"engine", report.engine},
                              {"device", report.device},       {"samples", report.samples},
                              {"unchanged", report.unchanged}, {"layers", nlohmann::json::array()}};
  if (!report.note.empty()) j["note"] = report.note;
  for (const LayerError& l : report.layers) {
    if (l.reference.empty()) continue;
    nlohmann::ordered_json layer = {{"name", l.name}, {"op", l.op}, {"value", l.value}, {"reference", l.reference}};
    layer["sqnr_db_own"] = l.own ? finite_or_null(l.own->sqnr_db()) : nullptr;
    layer["band_own"] = l.own ? nlohmann::ordered_json(band(l.own->sqnr_db())) : nullptr;
    layer["sqnr_db_accumulated"] = finite_or_null(l.accumulated.sqnr_db());
    layer["band_accumulated"] = band(l.accumulated.sqnr_db());
    layer["cosine"] = l.accumulated.cosine();
    layer["max_error"] = l.accumulated.largest;
    layer["clipped"] = l.is_codes ? nlohmann::ordered_json(l.clipped) : nullptr;
    layer["used_codes"] = l.is_codes ? nlohmann::ordered_json(l.used_codes) : nullptr;
    j["layers"].push_back(std::move(layer));
  }
  return json_text(j);
}

}  // namespace octet
