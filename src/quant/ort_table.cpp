#include "quant/ort_table.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

namespace octet {
namespace {

using Json = nlohmann::ordered_json;

Error wrong(const std::string& what) { return {ErrorCode::bad_argument, "ONNX Runtime calibration table: " + what}; }

std::string_view first_line(std::string_view text) {
  std::string_view line = text.substr(0, text.find('\n'));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

/// "NAME AMAX" split at the last blank.
std::optional<OrtRange> range_of_line(std::string_view line) {
  const size_t blank = line.rfind(' ');
  if (blank == std::string_view::npos || blank == 0) return std::nullopt;
  const std::optional<double> amax = decimal_number(line.substr(blank + 1));
  if (!amax) return std::nullopt;
  return OrtRange{std::string(line.substr(0, blank)), *amax, std::nullopt};
}

Result<OrtTable> parse_text(std::string_view text) {
  OrtTable table;
  size_t number = 0;
  while (!text.empty()) {
    const std::string_view line = first_line(text);
    const size_t end = text.find('\n');
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    ++number;
    if (line.empty()) continue;
    std::optional<OrtRange> range = range_of_line(line);
    if (!range) return wrong("line " + std::to_string(number) + " is not 'NAME AMAX', a name and a decimal number");
    table.ranges.push_back(*std::move(range));
  }
  return table;
}

/// A number, [number], or {"CLS": "numpy.array", "data": number or [number]}.
std::optional<double> scalar_of(const Json& value) {
  const Json* at = &value;
  if (at->is_object()) {
    const auto data = at->find("data");
    if (data == at->end()) return std::nullopt;
    at = &*data;
  }
  if (at->is_array() && at->size() == 1) at = &at->front();
  if (!at->is_number() || !std::isfinite(at->get<double>())) return std::nullopt;
  return at->get<double>();
}

Result<OrtRange> range_of_json(const std::string& name, const Json& value) {
  std::optional<double> lowest, highest;
  if (value.is_array() && value.size() == 2) {
    lowest = scalar_of(value[0]);
    highest = scalar_of(value[1]);
  } else if (value.is_object()) {
    const auto low = value.find("lowest"), high = value.find("highest");
    if (low != value.end()) lowest = scalar_of(*low);
    if (high != value.end()) highest = scalar_of(*high);
  }
  if (!lowest || !highest)
    return wrong("'" + name +
                 "' has no finite ends; expected [MIN, MAX] or \"lowest\" and \"highest\", one number each");
  if (*lowest > *highest) return wrong("'" + name + "': its lowest value is above its highest");
  return OrtRange{name, std::max(std::abs(*lowest), std::abs(*highest)), std::pair(*lowest, *highest)};
}

Result<OrtTable> parse_json(std::string_view text) {
  const Json root = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object()) return wrong("not a JSON object");
  OrtTable table;
  table.form = OrtForm::json;
  const Json* rows = &root;
  if (root.contains("CLS")) {
    const auto data = root.find("data");
    if (data == root.end() || !data->is_object()) return wrong("key 'data' is missing or no object");
    rows = &*data;
    const auto method = root.find("calibration_method");
    if (method != root.end() && method->is_object() && method->contains("value") && (*method)["value"].is_string())
      table.method = (*method)["value"].get<std::string>();
    if (table.method.starts_with("CalibrationMethod.")) table.method.erase(0, 18);
  }
  for (const auto& [name, value] : rows->items()) {
    Result<OrtRange> range = range_of_json(name, value);
    if (!range) return range.error();
    table.ranges.push_back(*std::move(range));
  }
  return table;
}

std::vector<OrtRange> sorted_ranges(const OrtTable& table) {
  std::vector<OrtRange> sorted = table.ranges;
  std::stable_sort(sorted.begin(), sorted.end(), [](const OrtRange& a, const OrtRange& b) { return a.name < b.name; });
  return sorted;
}

std::string json_bytes(const OrtTable& table) {
  Json data = Json::object();
  for (const OrtRange& range : table.ranges) {
    const auto [low, high] = range.ends.value_or(std::pair(-range.amax, range.amax));
    data[range.name] = Json{{"lowest", low}, {"highest", high}, {"CLS", "TensorData"}};
  }
  const std::string method = "CalibrationMethod." + (table.method.empty() ? std::string("MinMax") : table.method);
  const Json root = {
      {"CLS", "TensorsData"},
      {"data", data},
      {"calibration_method", Json{{"CLS", "CalibrationMethod"}, {"value", method}}},
  };
  return root.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

std::optional<double> decimal_number(std::string_view text) {
  double x = 0;
  const std::from_chars_result end = std::from_chars(text.data(), text.data() + text.size(), x);
  if (end.ec != std::errc() || end.ptr != text.data() + text.size() || !std::isfinite(x)) return std::nullopt;
  return x;
}

std::string python_number(double x) {
  char buffer[64];
  const std::to_chars_result end = std::to_chars(buffer, buffer + sizeof buffer, x, std::chars_format::scientific);
  const std::string_view scientific(buffer, static_cast<size_t>(end.ptr - buffer));
  int exponent = 0;
  const size_t e = scientific.find('e');
  if (e == std::string_view::npos) return std::string(scientific);  // inf, nan
  const bool plus = scientific[e + 1] == '+';
  std::from_chars(scientific.data() + e + (plus ? 2 : 1), scientific.data() + scientific.size(), exponent);
  if (exponent < -4 || exponent >= 16) return std::string(scientific);  // two digits of exponent at least, as Python
  const std::to_chars_result fixed = std::to_chars(buffer, buffer + sizeof buffer, x, std::chars_format::fixed);
  std::string text(buffer, fixed.ptr);
  if (text.find('.') == std::string::npos) text += ".0";
  return text;
}

std::optional<OrtForm> ort_form(std::string_view bytes) {
  if (bytes.empty()) return std::nullopt;
  if (bytes.front() == '{') return OrtForm::json;
  if (range_of_line(first_line(bytes))) return OrtForm::text;
  return parse_ort_flatbuffers(bytes) ? std::optional(OrtForm::flatbuffers) : std::nullopt;
}

Result<OrtTable> parse_ort_table(std::string_view bytes, OrtForm form) {
  Result<OrtTable> table = form == OrtForm::text   ? parse_text(bytes)
                           : form == OrtForm::json ? parse_json(bytes)
                                                   : parse_ort_flatbuffers(bytes);
  if (!table) return table.error();
  table->form = form;
  for (const OrtRange& range : table->ranges)
    if (range.amax < 0) return wrong("'" + range.name + "' has the negative amax " + python_number(range.amax));
  if (form != OrtForm::json)
    table->notes.emplace_back(
        "this form holds one number a tensor, which newer releases of ONNX Runtime take without absolute values; "
        "calibration.json beside it has both ends");
  return table;
}

std::string to_bytes(const OrtTable& table, OrtForm form) {
  if (form == OrtForm::json) return json_bytes(table);
  if (form == OrtForm::flatbuffers) return ort_flatbuffers(table);
  std::string text;
  for (const OrtRange& range : sorted_ranges(table)) text += range.name + " " + python_number(range.amax) + "\n";
  return text;
}

}  // namespace octet
