#include "api/profiles.h"

#include <charconv>
#include <optional>
#include <string_view>

namespace octet {
namespace {

std::vector<std::string_view> split_at(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text = text.substr(at + 1);
  }
}

std::optional<int64_t> number_of(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

std::string dims_text(const Dims& dims) {
  std::string text;
  for (const int64_t extent : dims) text += (text.empty() ? "" : "x") + std::to_string(extent);
  return text;
}

std::optional<Dims> dims_of(std::string_view text) {
  Dims dims;
  if (text.empty()) return dims;
  for (const std::string_view part : split_at(text, 'x')) {
    const std::optional<int64_t> extent = number_of(part);
    if (!extent) return std::nullopt;
    dims.push_back(*extent);
  }
  return dims;
}

/// Reads one line into the profile of its number; false where it is no such line, or a number was left out.
bool read_line(std::string_view line, std::vector<OptimizationProfile>& profiles) {
  const std::vector<std::string_view> parts = split_at(line, '\t');
  if (parts.size() != 5) return false;
  const std::optional<int64_t> number = number_of(parts[0]);
  const std::optional<Dims> low = dims_of(parts[2]), best = dims_of(parts[3]), high = dims_of(parts[4]);
  if (!number || !low || !best || !high || static_cast<size_t>(*number) > profiles.size()) return false;
  const auto index = static_cast<size_t>(*number);
  if (index == profiles.size()) profiles.emplace_back();
  return profiles[index].emplace(std::string(parts[1]), ShapeRange{*low, *best, *high}).second;
}

}  // namespace

std::string profiles_text(const std::vector<OptimizationProfile>& profiles) {
  std::string text;
  for (size_t i = 0; i < profiles.size(); ++i)
    for (const auto& [name, range] : profiles[i])
      text += std::to_string(i) + "\t" + name + "\t" + dims_text(range.smallest) + "\t" + dims_text(range.best) + "\t" +
              dims_text(range.largest) + "\n";
  return text;
}

std::vector<OptimizationProfile> read_profiles(const std::string& text) {
  std::vector<OptimizationProfile> profiles;
  std::string_view left = text;
  while (!left.empty()) {
    const size_t end = left.find('\n');
    if (end == std::string_view::npos || !read_line(left.substr(0, end), profiles)) return {};
    left = left.substr(end + 1);
  }
  return profiles;
}

std::string range_text(const ShapeRange& range) {
  return to_string(range.smallest) + ", " + to_string(range.best) + ", " + to_string(range.largest);
}

Result<Done> check_range(const std::string& input, const ShapeRange& range) {
  bool ordered = range.smallest.size() == range.best.size() && range.best.size() == range.largest.size();
  bool holds_elements = true;
  for (size_t d = 0; ordered && d < range.best.size(); ++d) {
    holds_elements = holds_elements && range.smallest[d] >= 1;
    ordered = range.smallest[d] <= range.best[d] && range.best[d] <= range.largest[d];
  }
  if (ordered && holds_elements) return Done{};
  return Error{ErrorCode::bad_argument, "the profile of input '" + input + "' is " + range_text(range) +
                                            ": expected smallest <= best <= largest, extent by extent, each from 1"};
}

}  // namespace octet
