#include "quant/cache_file.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

namespace octet {
namespace {

constexpr std::array<std::string_view, 5> k_formats = {"octet", "tensorrt", "onnxruntime-text", "onnxruntime-json",
                                                       "onnxruntime-flatbuffers"};
// More than this share of unusable ranges, and the calibration itself was broken.
constexpr size_t k_most_unusable_in = 10;

bool holds_octet_ranges(std::string_view bytes) { return bytes.find("\"octet-ranges\"") != std::string_view::npos; }

/// The last line of each name, at the place of its first.
std::vector<ForeignRange> last_of_each(const std::vector<ForeignRange>& rows) {
  std::vector<ForeignRange> kept;
  std::unordered_map<std::string, size_t> at;
  for (const ForeignRange& row : rows) {
    const auto [found, inserted] = at.emplace(row.name, kept.size());
    if (inserted) {
      kept.push_back(row);
    } else {
      kept[found->second] = row;
    }
  }
  return kept;
}

std::string some_names(const std::vector<std::string>& names) {
  constexpr size_t k_shown = 3;
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), k_shown); ++i) text += (i ? ", '" : "'") + names[i] + "'";
  return text + (names.size() > k_shown ? ", ..." : "");
}

std::string count_of(size_t part, size_t whole) { return std::to_string(part) + " of " + std::to_string(whole); }

void judge(CacheFit& fit, size_t rows, size_t wanted, const std::vector<std::string>& inputs) {
  const auto matched = static_cast<size_t>(fit.matched);
  if (matched == 0) {
    fit.refusal = "none of its " + std::to_string(rows) + " names is a tensor of this network";
  } else if (2 * fit.missing.size() > wanted) {
    fit.refusal = "it lacks ranges for " + count_of(fit.missing.size(), wanted) + " tensors that the network needs (" +
                  some_names(fit.missing) + "): it belongs to another network";
  } else if (fit.unusable.size() * k_most_unusable_in > matched) {
    fit.refusal = "calibration cache is broken (" + count_of(fit.unusable.size(), matched) +
                  " scales are zero, infinite or absurd: " + some_names(fit.unusable) + ")";
  }
  if (!fit.refusal.empty()) return;
  for (const std::string& input : inputs)
    if (std::find(fit.unusable.begin(), fit.unusable.end(), input) != fit.unusable.end())
      fit.refusal = "calibration cache is broken (the scale of the network's input '" + input + "' is unusable)";
}

}  // namespace

std::string_view name(CacheFormat format) { return k_formats[static_cast<size_t>(format)]; }

std::optional<CacheFormat> cache_format_from_name(std::string_view word) {
  const auto at = std::find(k_formats.begin(), k_formats.end(), word);
  if (at == k_formats.end()) return std::nullopt;
  return static_cast<CacheFormat>(at - k_formats.begin());
}

Result<CacheFormat> detect_cache_format(std::string_view bytes) {
  if (is_trt_cache(bytes)) return CacheFormat::tensorrt;
  if (bytes.starts_with('{') && holds_octet_ranges(bytes)) return CacheFormat::octet;
  switch (ort_form(bytes).value_or(OrtForm::text)) {
    case OrtForm::json: return CacheFormat::ort_json;
    case OrtForm::flatbuffers: return CacheFormat::ort_flatbuffers;
    case OrtForm::text: break;
  }
  if (ort_form(bytes)) return CacheFormat::ort_text;
  return Error{ErrorCode::bad_argument,
               "not a calibration cache; octet reads TensorRT's (first line 'TRT-...', '1' or '0 ...'), ONNX Runtime's "
               "(calibration.cache, .json, .flatbuffers) and its own ranges.json"};
}

Result<AnyCache> parse_cache(std::string_view bytes) {
  const Result<CacheFormat> format = detect_cache_format(bytes);
  if (!format) return format.error();
  const auto wrapped = [](auto parsed) -> Result<AnyCache> {
    if (!parsed) return parsed.error();
    return AnyCache(*std::move(parsed));
  };
  switch (*format) {
    case CacheFormat::octet: return wrapped(ranges_from_json(bytes));
    case CacheFormat::tensorrt: return wrapped(parse_trt_cache(bytes));
    case CacheFormat::ort_text: return wrapped(parse_ort_table(bytes, OrtForm::text));
    case CacheFormat::ort_json: return wrapped(parse_ort_table(bytes, OrtForm::json));
    case CacheFormat::ort_flatbuffers: break;
  }
  return wrapped(parse_ort_table(bytes, OrtForm::flatbuffers));
}

std::vector<ForeignRange> foreign_ranges(const TrtCache& cache) {
  std::vector<ForeignRange> rows;
  for (const TrtScale& s : cache.scales) rows.push_back({s.name, 127.0f * s.scale, {}, is_usable_scale(s.scale)});
  return last_of_each(rows);
}

std::vector<ForeignRange> foreign_ranges(const OrtTable& table) {
  std::vector<ForeignRange> rows;
  for (const OrtRange& r : table.ranges) {
    ForeignRange row{r.name, static_cast<float>(r.amax), {}, is_usable_scale(static_cast<float>(r.amax / 127))};
    if (r.ends) row.ends = {static_cast<float>(r.ends->first), static_cast<float>(r.ends->second)};
    rows.push_back(std::move(row));
  }
  return last_of_each(rows);
}

CacheFit fit_cache(const std::vector<ForeignRange>& cache, const std::vector<std::string>& wanted,
                   const std::vector<std::string>& inputs) {
  CacheFit fit;
  const std::unordered_set<std::string> names(wanted.begin(), wanted.end());
  std::unordered_set<std::string> found;
  for (const ForeignRange& row : cache) {
    if (!names.contains(row.name)) {
      fit.unmatched.push_back(row.name);
      continue;
    }
    found.insert(row.name);
    ++fit.matched;
    if (!row.usable) fit.unusable.push_back(row.name);
  }
  for (const std::string& tensor : wanted)
    if (!found.contains(tensor)) fit.missing.push_back(tensor);
  judge(fit, cache.size(), wanted.size(), inputs);
  return fit;
}

std::vector<TensorRange> rows_from(const std::vector<ForeignRange>& cache, const std::vector<std::string>& wanted) {
  std::unordered_map<std::string, const ForeignRange*> by_name;
  for (const ForeignRange& row : cache) by_name.emplace(row.name, &row);
  std::vector<TensorRange> rows;
  for (const std::string& tensor : wanted) {
    const auto at = by_name.find(tensor);
    if (at == by_name.end() || !at->second->usable) continue;
    const ForeignRange& source = *at->second;
    TensorRange row;
    row.name = tensor;
    ChosenRange range{source.amax, 0, 0};
    if (source.ends) {
      row.min = source.ends->first;
      row.max = source.ends->second;
      range = {std::max(std::abs(row.min), std::abs(row.max)), std::min(row.min, 0.0f), std::max(row.max, 0.0f)};
    }
    row.by_method.fill(range);
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<TrtScale> trt_scales(const CalibrationTable& table, CalibrationMethod method) {
  std::vector<TrtScale> scales;
  for (const TensorRange& tensor : table.tensors) {
    const float scale = tensor.range(method).amax / 127.0f;
    // What quantize() writes for a tensor that carries nothing; TensorRT takes no zero.
    scales.push_back({tensor.name, std::isnormal(scale) ? scale : 1.0f / 127.0f});
  }
  return scales;
}

OrtTable ort_table(const CalibrationTable& table, CalibrationMethod method) {
  OrtTable out;
  out.method = method == CalibrationMethod::entropy      ? "Entropy"
               : method == CalibrationMethod::percentile ? "Percentile"
                                                         : "MinMax";
  for (const TensorRange& tensor : table.tensors) {
    const ChosenRange& range = tensor.range(method);
    // A dead tensor's amax is taken as 1, as in trt_scales(): a zero would become a scale of zero in ONNX Runtime.
    const bool dead = !std::isnormal(range.amax / 127.0f);
    OrtRange row{tensor.name, dead ? 1.0f : range.amax, std::nullopt};
    const bool only_amax = range.lo == 0 && range.hi == 0;
    if (!only_amax && !dead) row.ends = {range.lo, range.hi};
    out.ranges.push_back(std::move(row));
  }
  std::stable_sort(out.ranges.begin(), out.ranges.end(),
                   [](const OrtRange& a, const OrtRange& b) { return a.name < b.name; });
  return out;
}

}  // namespace octet
