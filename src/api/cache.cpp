#include "octet/cache.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/state.h"
#include "base/file.h"
#include "passes/passes.h"
#include "quant/cache_file.h"
#include "report/text_table.h"

namespace octet {

constexpr const char* k_trt_version = "100300";  // of a header whose source names none

struct CalibrationCache::State {
  std::string path, format, description;
  std::vector<std::string> notes;
  AnyCache cache;
  std::vector<ForeignRange> rows;  // of octet's own: those of its method
};

namespace {

using Json = nlohmann::ordered_json;

/// One method of a table as rows.
std::vector<ForeignRange> rows_of(const CalibrationTable& table, CalibrationMethod method) {
  std::vector<ForeignRange> rows;
  for (const TensorRange& tensor : table.tensors) {
    const ChosenRange& r = tensor.range(method);
    rows.push_back({tensor.name, r.amax, std::pair(r.lo, r.hi), r.amax > 0});
  }
  return rows;
}

std::string describe(const CalibrationTable& table) {
  std::string text = "octet ranges, method " + std::string(name(table.method)) + ", " + std::to_string(table.samples) +
                     " samples of " + (table.data.empty() ? "unknown data" : table.data) + ", preprocess " +
                     (table.preprocess.empty() ? "unknown" : table.preprocess) + ", model " + table.model_hash;
  if (!table.source.empty()) text += ", from " + table.source;
  if (table.uncalibrated) text += ", UNCALIBRATED (noise)";
  if (!table.forced.empty()) text += ", forced: " + table.forced;
  return text;
}

std::string names_line(const char* title, const std::vector<std::string>& names, bool all) {
  if (names.empty()) return {};
  const size_t shown = all ? names.size() : std::min<size_t>(names.size(), 5);
  std::string text = std::string(title) + ":";
  for (size_t i = 0; i < shown; ++i) text += (i ? ", '" : " '") + names[i] + "'";
  return text + (shown < names.size() ? " and " + std::to_string(names.size() - shown) + " more" : "") + "\n";
}

/// A cache of another model is not written for this one.
Result<Done> check_fit(const CalibrationCache& cache, const Model* model, bool force, std::vector<std::string>& notes) {
  if (!model) return Done{};
  const CacheCheck check = cache.check(*model);
  if (check.fits) return Done{};
  if (!force)
    return Error{ErrorCode::bad_argument, "the cache does not fit " + model->path() + ": " + check.reason +
                                              "; --force takes it all the same and is recorded"};
  notes.push_back("warning: taken by force, though " + check.reason);
  return Done{};
}

void note_channels(const CalibrationTable& table, std::vector<std::string>& notes) {
  const auto n = std::count_if(table.tensors.begin(), table.tensors.end(),
                               [](const TensorRange& tensor) { return tensor.channels.has_value(); });
  if (n)
    notes.push_back("the ends of the channels of " + std::to_string(n) +
                    " tensors were left out: this format holds one range a tensor");
}

/// Version and algorithm as asked for; what was not asked for stays as it is.
Result<Done> set_header(TrtCache& cache, const ConvertSpec& spec) {
  if (spec.version.find_first_of("-\r\n") != std::string::npos)
    return Error{ErrorCode::bad_argument,
                 "--cache-version '" + spec.version + "' is no version number such as 8601 or 100300"};
  if (!spec.algorithm.empty()) {
    const std::optional<TrtAlgorithm> algorithm = trt_algorithm_from_name(spec.algorithm);
    if (!algorithm)
      return Error{ErrorCode::bad_argument,
                   "--algorithm " + spec.algorithm + ": known are entropy2, minmax, entropy, legacy"};
    // The headers "0 ..." and "1" name no version; a worded one needs it.
    if (*algorithm != cache.algorithm && cache.version.empty()) cache.version = k_trt_version;
    cache.algorithm = *algorithm;
  }
  if (!spec.version.empty()) cache.version = spec.version;
  if (cache.algorithm == TrtAlgorithm::legacy) cache.version.clear();  // its header has none
  return Done{};
}

std::vector<TrtScale> usable_scales(const std::vector<ForeignRange>& rows, std::vector<std::string>& notes) {
  std::vector<TrtScale> scales;
  for (const ForeignRange& r : rows)
    if (r.usable) scales.push_back({r.name, r.amax / 127.0f});
  if (scales.size() < rows.size())
    notes.push_back(std::to_string(rows.size() - scales.size()) +
                    " ranges that are zero, subnormal, infinite or absurd were left out");
  return scales;
}

OrtTable ort_of(const std::vector<ForeignRange>& rows, std::vector<std::string>& notes) {
  OrtTable table;
  size_t dropped = 0;
  for (const ForeignRange& row : rows) {
    if (!row.usable) {
      ++dropped;
      continue;
    }
    OrtRange range{row.name, row.amax, std::nullopt};
    if (row.ends) range.ends = {row.ends->first, row.ends->second};
    table.ranges.push_back(std::move(range));
  }
  std::stable_sort(table.ranges.begin(), table.ranges.end(),
                   [](const OrtRange& a, const OrtRange& b) { return a.name < b.name; });
  if (dropped) notes.push_back(std::to_string(dropped) + " ranges that are zero, infinite or absurd were left out");
  return table;
}

}  // namespace

Result<CalibrationCache> CalibrationCache::load(const std::string& path) {
  const Result<std::string> bytes = read_text_file(path);
  if (!bytes) return bytes.error();
  Result<AnyCache> cache = parse_cache(*bytes);
  if (!cache) return within(path, cache.error());
  auto state = std::make_shared<State>();
  state->path = path;
  state->format = name(*detect_cache_format(*bytes));
  if (const auto* table = std::get_if<CalibrationTable>(&*cache)) {
    state->description = describe(*table);
    state->rows = rows_of(*table, table->method);
  } else if (const auto* trt = std::get_if<TrtCache>(&*cache)) {
    state->description = trt->description();
    if (trt->algorithm == TrtAlgorithm::legacy)
      state->description +=
          ", regression cutoff " + short_number(trt->regression_cutoff) + ", quantile " + Json(trt->quantile).dump();
    state->rows = foreign_ranges(*trt);
    state->notes = trt->notes;
  } else {
    const OrtTable& ort = std::get<OrtTable>(*cache);
    state->description = "ONNX Runtime calibration table" + (ort.method.empty() ? "" : ", " + ort.method);
    state->rows = foreign_ranges(ort);
    state->notes = ort.notes;
  }
  state->cache = *std::move(cache);
  return CalibrationCache(std::move(state));
}

const std::string& CalibrationCache::format() const { return state_->format; }
const std::string& CalibrationCache::description() const { return state_->description; }
const std::vector<std::string>& CalibrationCache::notes() const { return state_->notes; }
int64_t CalibrationCache::tensors() const { return static_cast<int64_t>(state_->rows.size()); }

std::string CalibrationCache::text() const {
  std::vector<std::vector<std::string>> rows = {{"Tensor", "Scale", "Amax", "Lowest", "Highest", ""}};
  for (const ForeignRange& r : state_->rows)
    rows.push_back({r.name, short_number(r.amax / 127.0f), short_number(r.amax),
                    r.ends ? short_number(r.ends->first) : "", r.ends ? short_number(r.ends->second) : "",
                    r.usable ? "" : "no range"});
  return state_->description + ", " + std::to_string(state_->rows.size()) + " tensors\n" + text_table(rows);
}

std::string CalibrationCache::json() const {
  Json tensors = Json::array();
  for (const ForeignRange& r : state_->rows) {
    Json row = {{"name", r.name}, {"amax", r.amax}, {"usable", r.usable}};
    if (r.ends) {
      row["lowest"] = r.ends->first;
      row["highest"] = r.ends->second;
    }
    tensors.push_back(std::move(row));
  }
  const Json root = {{"file", state_->path},
                     {"format", state_->format},
                     {"description", state_->description},
                     {"notes", state_->notes},
                     {"tensors", std::move(tensors)}};
  return root.dump(2, ' ', false, Json::error_handler_t::replace);
}

CacheCheck CalibrationCache::check(const Model& model) const {
  CacheCheck check;
  const Graph& graph = model.state().graph;
  std::vector<std::string> inputs;
  for (const ValueId id : graph.inputs) inputs.push_back(graph.value(id).name);
  const auto* own = std::get_if<CalibrationTable>(&state_->cache);
  std::vector<ForeignRange> rows = state_->rows;
  if (own)
    for (ForeignRange& row : rows) row.usable = true;  // a dead tensor's zero is known and fine
  CacheFit fit = fit_cache(rows, calibration_points(graph), inputs);
  check.reason = fit.refusal;
  if (own && own->model_hash != model.hash() && own->forced.empty())
    check.reason = "the ranges were made for model " + own->model_hash + ", this one is " + model.hash();
  check.fits = check.reason.empty();
  check.matched = fit.matched;
  check.missing = std::move(fit.missing);
  check.unmatched = std::move(fit.unmatched);
  check.unusable = std::move(fit.unusable);
  return check;
}

Result<std::string> CalibrationCache::convert(const ConvertSpec& spec, const Model* model, bool force,
                                              std::vector<std::string>& notes) const {
  const std::optional<CacheFormat> format = cache_format_from_name(spec.format);
  if (!format)
    return Error{ErrorCode::bad_argument, "format '" + spec.format +
                                              "' is not known; known are octet, tensorrt, onnxruntime-text, "
                                              "onnxruntime-json, onnxruntime-flatbuffers"};
  if (*format == CacheFormat::octet) {
    if (!model) return Error{ErrorCode::bad_argument, "octet's ranges belong to a model: give --model FILE.onnx"};
    if (std::holds_alternative<CalibrationTable>(state_->cache))
      if (Result<Done> fine = check_fit(*this, model, force, notes); !fine) return fine.error();
    const Result<Ranges> ranges = Ranges::load(state_->path, *model, force);
    if (!ranges) return ranges.error();
    notes.insert(notes.end(), ranges->notes.begin(), ranges->notes.end());
    return ranges->json();
  }
  const auto* own = std::get_if<CalibrationTable>(&state_->cache);
  const auto* trt = std::get_if<TrtCache>(&state_->cache);
  CalibrationMethod method = own ? own->method : CalibrationMethod::entropy;
  if (own && !spec.method.empty()) {
    const std::optional<CalibrationMethod> wanted = calibration_method_from_name(spec.method);
    if (!wanted) return Error{ErrorCode::bad_argument, "--method " + spec.method + " is not known"};
    method = *wanted;
    if (method == CalibrationMethod::automatic && !has_automatic(*own))
      return Error{ErrorCode::bad_argument, "the ranges hold no choice of 'auto'; calibrate with --method auto"};
  }
  if (Result<Done> fine = check_fit(*this, model, force, notes); !fine) return fine.error();
  if (own && own->uncalibrated) {
    if (!force)
      return Error{ErrorCode::bad_argument,
                   "these ranges come from noise (UNCALIBRATED), which this format cannot say; calibrate with real "
                   "samples, or give --force"};
    notes.emplace_back("UNCALIBRATED: these ranges come from noise, which this format cannot say");
  }
  if (own) note_channels(*own, notes);
  if (*format != CacheFormat::tensorrt) {
    const OrtForm form = *format == CacheFormat::ort_text   ? OrtForm::text
                         : *format == CacheFormat::ort_json ? OrtForm::json
                                                            : OrtForm::flatbuffers;
    return to_bytes(own ? ort_table(*own, method) : ort_of(state_->rows, notes), form);
  }
  TrtCache out;
  if (trt) out = *trt;
  if (!trt) out.version = k_trt_version;
  if (Result<Done> made = set_header(out, spec); !made) return made.error();
  if (out.algorithm == TrtAlgorithm::legacy && !(trt && trt->algorithm == TrtAlgorithm::legacy))
    out.quantile = own && method == CalibrationMethod::percentile ? own->percentile / 100 : 1.0;
  if (own) {
    out.scales = trt_scales(*own, method);
  } else if (!trt) {
    out.scales = usable_scales(state_->rows, notes);
  } else if (const auto bad = std::count_if(state_->rows.begin(), state_->rows.end(),
                                            [](const ForeignRange& r) { return !r.usable; })) {
    notes.push_back("warning: " + std::to_string(bad) +
                    " scales of the source are zero, subnormal, infinite or absurd; its lines were kept as they are");
  }
  return to_text(out);
}

Result<Done> CalibrationCache::convert_to(const std::string& path, const ConvertSpec& spec, const Model* model,
                                          bool force, std::vector<std::string>& notes) const {
  const Result<std::string> bytes = convert(spec, model, force, notes);
  if (!bytes) return bytes.error();
  return write_file_atomically(path, *bytes);
}

std::string CalibrationCache::conversion_json(const std::string& path, const ConvertSpec& spec,
                                              const std::vector<std::string>& notes) const {
  const Json root = {{"file", state_->path}, {"output", path}, {"format", spec.format}, {"notes", notes}};
  return root.dump(2, ' ', false, Json::error_handler_t::replace);
}

std::string to_text(const CacheCheck& check, bool all_names) {
  std::string text = check.fits ? "fits" : "does not fit: " + check.reason;
  text += "\n" + std::to_string(check.matched) + " tensors matched, " + std::to_string(check.missing.size()) +
          " of the network missing, " + std::to_string(check.unmatched.size()) + " only in the cache, " +
          std::to_string(check.unusable.size()) + " without a usable range\n";
  text += names_line("missing", check.missing, all_names);
  text += names_line("only in the cache", check.unmatched, all_names);
  text += names_line("unusable", check.unusable, all_names);
  return text;
}

std::string to_json(const CacheCheck& check) {
  const Json root = {{"fits", check.fits},       {"reason", check.reason},       {"matched", check.matched},
                     {"missing", check.missing}, {"unmatched", check.unmatched}, {"unusable", check.unusable}};
  return root.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace octet
