#include "cli/trtexec/command_line.h"

#include <cassert>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "cli/trtexec/flags.h"

namespace octet::cli::trtexec {
namespace {

std::string dashed(std::string_view name) { return "--" + std::string(name); }

Error bad(std::string message) { return {ErrorCode::bad_argument, std::move(message)}; }

}  // namespace

CommandLine::CommandLine(const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    arguments_.push_back(equals == std::string::npos ? Argument{word, ""}
                                                     : Argument{word.substr(0, equals), word.substr(equals + 1)});
  }
}

void CommandLine::fail(std::string message) {
  if (!error_) error_ = std::move(message);
}

std::optional<size_t> CommandLine::find(std::string_view name, size_t from) const {
  assert(find_flag(name) && "a flag that is not in flags.def");
  for (size_t i = from; i < arguments_.size(); ++i)
    if (arguments_[i].name == dashed(name)) return i;
  return std::nullopt;
}

bool CommandLine::take(std::string_view name, std::string& to) {
  const std::optional<size_t> at = find(name);
  if (!at) return false;
  to = arguments_[*at].value;
  erase(*at);
  if (to.empty() && !find_flag(name)->value.empty())
    fail(dashed(name) + " needs a value: " + dashed(name) + "=" + std::string(find_flag(name)->value));
  return true;
}

bool CommandLine::take_switch(std::string_view name) {
  const std::optional<size_t> at = find(name);
  if (at) erase(*at);
  return at.has_value();
}

bool CommandLine::take(std::string_view name, int64_t& to, int64_t low, int64_t high) {
  std::string text;
  if (!take(name, text)) return false;
  const Result<int64_t> number = parse_whole(text, low, high);
  if (number) to = *number;
  if (!number) fail(dashed(name) + "=" + number.error().message);
  return true;
}

bool CommandLine::take(std::string_view name, double& to, double low, double high) {
  std::string text;
  if (!take(name, text)) return false;
  const Result<double> number = parse_number(text, low, high);
  if (number) to = *number;
  if (!number) fail(dashed(name) + "=" + number.error().message);
  return true;
}

bool CommandLine::take_list(std::string_view name, std::vector<std::string>& to) {
  std::string text;
  if (!take(name, text)) return false;
  to = split(text, ',');
  return true;
}

Result<int64_t> parse_whole(const std::string& text, int64_t low, int64_t high) {
  char* end = nullptr;
  errno = 0;
  const long long number = std::strtoll(text.c_str(), &end, 10);
  if (end != text.c_str() && errno == 0 && number >= low && number <= high) return int64_t{number};
  return bad(text + ": a whole number from " + std::to_string(low) + " to " + std::to_string(high) + " is expected");
}

Result<double> parse_number(const std::string& text, double low, double high) {
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  if (end != text.c_str() && number >= low && number <= high) return number;  // false for what is not a number
  char range[96];
  std::snprintf(range, sizeof range, ": a number from %.10g to %.10g is expected", low, high);
  return bad(text + range);
}

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  size_t begin = 0;
  for (size_t end; (end = text.find(at, begin)) != std::string::npos; begin = end + 1)
    parts.push_back(text.substr(begin, end - begin));
  parts.push_back(text.substr(begin));
  return parts;
}

Result<std::pair<std::string, std::string>> split_name(const std::string& element) {
  size_t quotes = 0;
  for (const char c : element) quotes += c == '\'';
  if (quotes != 0) {
    const size_t close = element.find('\'', 1);
    if (quotes != 2 || element[0] != '\'' || close + 1 >= element.size())
      return bad(element + ": expected 'NAME':VALUE with two quotes around the name");
    return std::pair(element.substr(1, close - 1), element.substr(close + 2));
  }
  const size_t colon = element.rfind(':');
  if (colon == std::string::npos || colon == 0) return bad(element + ": expected NAME:VALUE");
  return std::pair(element.substr(0, colon), element.substr(colon + 1));
}

Result<int64_t> parse_size(const std::string& text, int64_t unit) {
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  if (end == text.c_str()) return bad("'" + text + "': a size is expected, e.g. 512M");
  switch (std::toupper(static_cast<unsigned char>(*end))) {
    case '\0': break;
    case 'B': unit = 1; break;
    case 'K': unit = 1 << 10; break;
    case 'M': unit = 1 << 20; break;
    case 'G': unit = 1 << 30; break;
    default: return bad("'" + text + "': unknown suffix; B, K, M and G are valid");
  }
  constexpr double k_largest = 1e18;
  const double bytes = number * static_cast<double>(unit);
  if (!(bytes >= 0 && bytes <= k_largest)) return bad("'" + text + "': a size from 0 to 1e18 bytes is expected");
  return static_cast<int64_t>(bytes);
}

Result<std::vector<int64_t>> parse_dims(const std::string& text) {
  std::vector<int64_t> dims;
  if (text.empty() || text == "scalar") return dims;
  for (const std::string& part : split(text, 'x')) {
    char* end = nullptr;
    const long long extent = std::strtoll(part.c_str(), &end, 10);
    if (part.empty() || *end != '\0' || extent < 0 || extent > k_largest_int)
      return bad("'" + text + "': a shape like 1x3x224x224 is expected, with extents from 1 to 2147483647");
    dims.push_back(extent);
  }
  return dims;
}

bool matches(std::string_view pattern, std::string_view name) {
  const size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == name;
  const std::string_view head = pattern.substr(0, star), tail = pattern.substr(star + 1);
  return name.size() >= head.size() + tail.size() && name.starts_with(head) && name.ends_with(tail);
}

}  // namespace octet::cli::trtexec
