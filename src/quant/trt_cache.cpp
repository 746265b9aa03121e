#include "quant/trt_cache.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <unordered_set>

namespace octet {
namespace {

constexpr std::array<std::string_view, 4> k_words = {"LegacyCalibration", "EntropyCalibration", "EntropyCalibration2",
                                                     "MinMaxCalibration"};
constexpr std::array<std::string_view, 4> k_names = {"legacy", "entropy", "entropy2", "minmax"};
constexpr std::string_view k_byte_order_mark = "\xef\xbb\xbf";
constexpr float k_largest_scale = 1e30f;

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

template <class T>
std::optional<T> bits_from_hex(std::string_view text, size_t most_digits) {
  if (text.empty() || text.size() > most_digits || !std::all_of(text.begin(), text.end(), is_hex)) return std::nullopt;
  T bits = 0;
  std::from_chars(text.data(), text.data() + text.size(), bits, 16);
  return bits;
}

template <class T>
std::string hex_of(T bits) {
  char buffer[2 * sizeof(T)];
  return std::string(buffer, std::to_chars(buffer, buffer + sizeof buffer, bits, 16).ptr);
}

Error wrong(size_t line, const std::string& what) {
  return {ErrorCode::bad_argument, "calibration cache, line " + std::to_string(line) + ": " + what};
}

std::string shortened(std::string_view text) {
  constexpr size_t k_most = 60;
  std::string out;
  for (const char c : text.substr(0, k_most)) out += c < ' ' || c == 0x7f ? '?' : c;
  return out + (text.size() > k_most ? "..." : "");
}

bool read_legacy(std::string_view header, TrtCache& cache) {
  if (header.size() != 2 + 16 + 1 + 16 || !header.starts_with("0 ") || header[18] != ' ') return false;
  const std::optional<uint64_t> cutoff = bits_from_hex<uint64_t>(header.substr(2, 16), 16);
  const std::optional<uint64_t> quantile = bits_from_hex<uint64_t>(header.substr(19, 16), 16);
  if (!cutoff || !quantile) return false;
  cache.algorithm = TrtAlgorithm::legacy;
  cache.regression_cutoff = std::bit_cast<double>(*cutoff);
  cache.quantile = std::bit_cast<double>(*quantile);
  return cache.regression_cutoff >= 0 && cache.regression_cutoff <= 1 && cache.quantile >= 0 && cache.quantile <= 1;
}

bool read_header(std::string_view header, TrtCache& cache) {
  if (header == "1") {
    cache.algorithm = TrtAlgorithm::entropy;
    return true;
  }
  if (read_legacy(header, cache)) return true;
  const size_t dash = header.rfind('-');
  if (!header.starts_with("TRT-") || dash <= 4) return false;
  const auto word = std::find(k_words.begin(), k_words.end(), header.substr(dash + 1));
  if (word == k_words.end()) return false;
  cache.version = std::string(header.substr(4, dash - 4));
  cache.algorithm = static_cast<TrtAlgorithm>(word - k_words.begin());
  return true;
}

std::string header_of(const TrtCache& cache) {
  if (!cache.version.empty()) return "TRT-" + cache.version + "-" + std::string(trt_word(cache.algorithm));
  if (cache.algorithm != TrtAlgorithm::legacy) return std::to_string(static_cast<int>(cache.algorithm));
  const auto padded = [](double x) {
    const std::string digits = hex_of(std::bit_cast<uint64_t>(x));
    return std::string(16 - digits.size(), '0') + digits;
  };
  return "0 " + padded(cache.regression_cutoff) + " " + padded(cache.quantile);
}

std::string_view without_blanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

Result<TrtScale> read_scale(std::string_view line, size_t number) {
  const size_t colon = line.rfind(':');
  if (colon == std::string_view::npos || colon == 0)
    return wrong(number, "'" + shortened(line) + "' is not 'NAME: HEX', the name and the bits of its scale");
  std::string_view digits = without_blanks(line.substr(colon + 1));
  if (digits.starts_with("0x") || digits.starts_with("0X")) digits.remove_prefix(2);
  const std::optional<uint32_t> bits = bits_from_hex<uint32_t>(digits, 8);
  const std::string name(line.substr(0, colon));
  if (!bits)
    return wrong(number, "the scale of '" + shortened(name) + "' is '" + shortened(line.substr(colon + 1)) +
                             "', expected the 1 to 8 hex digits of a float");
  const auto scale = std::bit_cast<float>(*bits);
  if (std::isnan(scale) || std::signbit(scale))
    return wrong(number, "the scale of '" + shortened(name) + "' is " +
                             (std::isnan(scale) ? "not a number" : "negative") +
                             "; calibrate again, or take the line out");
  return TrtScale{name, scale};
}

/// Cuts off the next line, with its LF but without a CR before it; notes which kind of end it had.
std::string_view next_line(std::string_view& text, bool& had_cr, bool& had_newline) {
  const size_t end = text.find('\n');
  had_newline = end != std::string_view::npos;
  std::string_view line = text.substr(0, end);
  text.remove_prefix(had_newline ? end + 1 : text.size());
  had_cr = line.ends_with('\r');
  if (had_cr) line.remove_suffix(1);
  return line;
}

}  // namespace

std::string_view trt_word(TrtAlgorithm algorithm) { return k_words[static_cast<size_t>(algorithm)]; }

std::optional<TrtAlgorithm> trt_algorithm_from_name(std::string_view word) {
  const auto at = std::find(k_names.begin(), k_names.end(), word);
  if (at == k_names.end()) return std::nullopt;
  return static_cast<TrtAlgorithm>(at - k_names.begin());
}

bool is_usable_scale(float scale) { return std::isnormal(scale) && scale > 0.0f && scale <= k_largest_scale; }

std::string TrtCache::description() const {
  const std::string word(trt_word(algorithm));
  unsigned number = 0;
  const std::from_chars_result end = std::from_chars(version.data(), version.data() + version.size(), number);
  if (version.empty()) return "TensorRT (version not stated) " + word;
  if (end.ec != std::errc() || end.ptr != version.data() + version.size()) return "TensorRT " + version + " " + word;
  // Up to 9.x major * 1000 + minor * 100 + patch, from 10.0 on major * 10000.
  const unsigned major_weight = number >= 100000 ? 10000 : 1000;
  return "TensorRT " + std::to_string(number / major_weight) + "." + std::to_string(number % major_weight / 100) + "." +
         std::to_string(number % 100) + " " + word;
}

bool is_trt_cache(std::string_view text) {
  if (text.starts_with(k_byte_order_mark)) text.remove_prefix(k_byte_order_mark.size());
  bool cr = false, newline = false;
  TrtCache cache;
  const std::string_view header = next_line(text, cr, newline);
  return read_header(header, cache) || header.starts_with("TRT-");
}

Result<TrtCache> parse_trt_cache(std::string_view text) {
  TrtCache cache;
  if (text.starts_with(k_byte_order_mark)) {
    text.remove_prefix(k_byte_order_mark.size());
    cache.notes.emplace_back("a byte-order mark in front was dropped");
  }
  bool cr = false, newline = false;
  const std::string_view header = next_line(text, cr, newline);
  if (!read_header(header, cache))
    return wrong(1, "'" + shortened(header) +
                        "' is not a header; expected TRT-VERSION-ALGORITHM with one of LegacyCalibration, "
                        "EntropyCalibration, EntropyCalibration2, MinMaxCalibration, or '1', or '0' and two float64");
  size_t lines = 1, with_cr = cr, blank = 0, twice = 0;
  std::unordered_set<std::string> names;
  while (!text.empty()) {
    const std::string_view line = next_line(text, cr, newline);
    ++lines;
    with_cr += cr;
    if (without_blanks(line).empty()) {
      ++blank;
      continue;
    }
    Result<TrtScale> scale = read_scale(line, lines);
    if (!scale) return scale.error();
    if (!names.insert(scale->name).second && twice++ == 0)
      cache.notes.push_back("'" + shortened(scale->name) + "' occurs twice; its last line counts");
    cache.scales.push_back(*std::move(scale));
  }
  cache.final_newline = newline;
  cache.crlf = with_cr == lines;
  if (twice > 1) cache.notes.push_back(std::to_string(twice - 1) + " more names occur twice");
  if (blank) cache.notes.push_back(std::to_string(blank) + " blank lines were dropped");
  if (with_cr && !cache.crlf) cache.notes.emplace_back("lines end in LF and in CR LF");
  return cache;
}

std::string to_text(const TrtCache& cache) {
  const std::string_view newline = cache.crlf ? "\r\n" : "\n";
  std::string text = header_of(cache);
  for (const TrtScale& s : cache.scales) {
    text += newline;
    text += s.name + ": " + hex_of(std::bit_cast<uint32_t>(s.scale));
  }
  if (cache.final_newline) text += newline;
  return text;
}

}  // namespace octet
