#include "calibrate/calibrate_as_toolkit.h"

#include <algorithm>
#include <cstdio>

#include "api/inputs.h"
#include "api/state.h"
#include "backends/open.h"
#include "base/file.h"
#include "base/process_group.h"
#include "calibrate/choose_auto.h"
#include "octet/version.h"
#include "passes/passes.h"
#include "quant/cache_file.h"
#include "report/text_table.h"

namespace octet {
namespace {

// auto needs a handful of samples to judge by and leaves at least three quarters to find ranges on.
constexpr int64_t k_held_out_share = 4;

std::string mebibytes(size_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.0f MiB", static_cast<double>(bytes) / (1 << 20));
  return text;
}

Error unknown_method(const std::string& method) {
  return {ErrorCode::bad_argument,
          "--method " + method + ": unknown; known are max, entropy, percentile, mse and auto"};
}

/// Every n-th sample is held out, the others are calibrated on.
void split_samples(int64_t total, int64_t held_out, std::vector<int64_t>& ranges, std::vector<int64_t>& judge) {
  const int64_t wanted = std::clamp<int64_t>(held_out, 0, total / k_held_out_share);
  const int64_t every = wanted > 0 ? total / wanted : total + 1;
  for (int64_t i = 0; i < total; ++i) {
    const bool held = i % every == every - 1 && static_cast<int64_t>(judge.size()) < wanted;
    (held ? judge : ranges).push_back(i);
  }
}

class Task {
 public:
  Task(const Model& model, const CalibrateSpec& spec, CalibrationMethod method, const ProcessGroup& group)
      : model_(model), spec_(spec), method_(method), group_(group) {}

  Result<Ranges> run() {
    Result<std::shared_ptr<Backend>> backend = open_backend("cpu", {.threads = spec_.threads});
    if (!backend) return backend.error();
    backend_ = *backend;
    Result<std::shared_ptr<const Engine>> engine = build(model_.state().graph);
    if (!engine) return within(model_.path(), engine.error());
    engine_ = *engine;
    if (Result<Done> opened = open(); !opened) return opened.error();
    CalibrateOptions options{.points = calibration_points(model_.state().graph),
                             .percentile = spec_.percentile,
                             .threads = std::max(spec_.threads, 1),
                             .progress = spec_.progress,
                             .samples = {},
                             .method = method_,
                             .per_channel = spec_.per_channel,
                             .preprocess = spec_.data.preprocess,
                             .group = &group_,
                             .on_histogram = histogram_listener()};
    std::vector<int64_t> held_out;
    split_samples(data_.size(), method_ == CalibrationMethod::automatic ? spec_.auto_samples : 0, options.samples,
                  held_out);
    say_forecast(options);
    const std::string stays = batch_note(model_, spec_.batch_if_free ? 0 : spec_.batch, engine_->plan().graph);
    if (spec_.note && group_.rank() == 0 && !stays.empty()) spec_.note("note: " + stays);
    Result<Calibrated> made = spec_.ref_compat ? as_toolkit(options) : calibrate(engine_, data_, options);
    if (!made) return within(model_.path(), made.error());
    std::vector<std::string> notes =
        group_.rank() == 0 && !spec_.ref_compat ? lines_of(made->report) : std::vector<std::string>();
    if (method_ == CalibrationMethod::automatic)
      if (Result<Done> done = choose(*made, held_out, notes); !done) return within(model_.path(), done.error());
    describe(made->table);
    if (made->table.uncalibrated)
      notes.insert(notes.begin(), "UNCALIBRATED: these samples are noise; the ranges serve timing, never accuracy");
    return Ranges{std::make_shared<const CalibrationTable>(std::move(made->table)), std::move(notes)};
  }

 private:
  Result<std::shared_ptr<const Engine>> build(const Graph& graph) const {
    Result<Graph> lowered = lower_to_calibrate(
        graph, {.batch = spec_.batch, .shapes = spec_.shapes, .picture = picture_of(spec_.data.preprocess)},
        model_.state().skip_passes);
    if (!lowered) return lowered.error();
    return Engine::build(std::move(*lowered), backend_);
  }

  Result<Done> open() {
    std::vector<NetworkInput> inputs;
    const Graph& graph = engine_->plan().graph;
    for (const ValueId id : graph.inputs) {
      const Value& value = graph.value(id);
      inputs.push_back({value.name, known_dims(*value.shape).value_or(Dims()), value.dtype});
    }
    Result<std::vector<std::unique_ptr<Dataset>>> opened = open_inputs(spec_.data, inputs);
    if (!opened) return opened.error();
    datasets_ = *std::move(opened);
    for (const std::unique_ptr<Dataset>& one : datasets_) data_.inputs.push_back(one.get());
    return Done{};
  }

  std::function<void(const TensorRange&, const Bins&)> histogram_listener() const {
    if (!spec_.on_histogram) return {};
    return [this](const TensorRange& row, const Bins& bins) {
      TensorHistogram seen{
          .tensor = row.name, .counts = {bins.counts.begin(), bins.counts.end()}, .width = bins.width, .amax = {}};
      for (const CalibrationMethod method : k_calibration_methods)
        seen.amax.emplace_back(std::string(name(method)), double{row.range(method).amax});
      spec_.on_histogram(seen);
    };
  }

  void say_forecast(const CalibrateOptions& options) const {
    if (!spec_.note || group_.rank() != 0) return;
    const MemoryForecast f = forecast(*engine_, options);
    spec_.note("calibration needs " + mebibytes(f.total()) + ": " + mebibytes(f.histogram_bytes) + " for " +
               std::to_string(options.points.size()) + " tensors, " + mebibytes(f.engine_bytes) +
               " for the network and one batch of " + std::to_string(engine_->input(0).shape ? data_batch() : 1) +
               "; more samples need no more");
  }

  Result<Calibrated> as_toolkit(const CalibrateOptions& options) const {
    Result<CalibrationTable> table = calibrate_as_toolkit(engine_, data_, options);
    if (!table) return table.error();
    Calibrated made;
    made.table = *std::move(table);
    made.table.source = "pytorch-quantization's rules (--ref-compat), batches of " + std::to_string(data_batch());
    return made;
  }

  int64_t data_batch() const {
    const std::optional<Dims> dims = known_dims(*engine_->input(0).shape);
    return dims && !dims->empty() ? dims->front() : 1;
  }

  /// Process 0 searches; the others take its table.
  Result<Done> choose(Calibrated& made, const std::vector<int64_t>& held_out, std::vector<std::string>& notes) {
    std::string failed;
    if (group_.rank() == 0) {
      const Result<std::string> line = search(made, held_out);
      if (line) {
        notes.push_back(*line);
      } else {
        failed = line.error().message;
      }
    }
    failed = group_.broadcast(failed);
    if (!failed.empty()) return Error{ErrorCode::bad_argument, failed};
    if (group_.size() == 1) return Done{};
    Result<CalibrationTable> table = ranges_from_json(group_.broadcast(to_json(made.table)));
    if (!table) return table.error();
    made.table = *std::move(table);
    return Done{};
  }

  Result<std::string> search(Calibrated& made, const std::vector<int64_t>& held_out) {
    AutoOptions options{.held_out = held_out,
                        .threads = std::max(spec_.threads, 1),
                        .progress = spec_.auto_progress,
                        .build = [this](const CalibrationTable& table) { return build_int8(table); }};
    const Result<AutoReport> report = choose_auto(engine_, data_, made.table, made.candidates, options);
    if (!report) return report.error();
    made.table.target = spec_.target;
    return report->text();
  }

  Result<std::shared_ptr<const Engine>> build_int8(const CalibrationTable& table) const {
    Graph graph = model_.state().graph;
    QuantizeOptions options;
    options.method = CalibrationMethod::automatic;
    options.target = spec_.target == "tensorrt" ? Target::tensorrt : Target::octet;
    const Result<QuantizeReport> report = octet::quantize(graph, table, options);
    if (!report) return report.error();
    return build(graph);
  }

  void describe(CalibrationTable& table) const {
    table.model_hash = model_.hash();
    table.data = spec_.data.path;
    table.data_hash = hash_of(datasets_);
    table.preprocess = to_string(*parse_preprocess(spec_.data.preprocess));  // open() has parsed it
    table.method = method_;
    table.octet_version = k_version;
    table.uncalibrated = spec_.data.path.starts_with("synthetic:");
  }

  const Model& model_;
  const CalibrateSpec& spec_;
  CalibrationMethod method_;
  const ProcessGroup& group_;
  std::shared_ptr<Backend> backend_;
  std::shared_ptr<const Engine> engine_;
  std::vector<std::unique_ptr<Dataset>> datasets_;
  InputData data_;
};

/// A foreign cache as a table of this model.
Result<Ranges> matched(const std::string& source, const std::vector<ForeignRange>& rows,
                       const std::vector<std::string>& file_notes, CalibrationMethod method, const Model& model,
                       bool force) {
  const Graph& graph = model.state().graph;
  const std::vector<std::string> wanted = calibration_points(graph);
  std::vector<std::string> inputs;
  for (const ValueId id : graph.inputs) inputs.push_back(graph.value(id).name);
  const CacheFit fit = fit_cache(rows, wanted, inputs);
  if (!fit.refusal.empty() && !force)
    return Error{ErrorCode::bad_argument, fit.refusal + "; --force takes it all the same and is recorded"};
  CalibrationTable table;
  table.source = source;
  table.model_hash = model.hash();
  table.octet_version = k_version;
  table.method = method;
  table.forced = fit.refusal;
  table.tensors = rows_from(rows, wanted);
  std::vector<std::string> notes = {source + ": " + std::to_string(fit.matched) + " tensors matched, " +
                                    std::to_string(fit.missing.size()) +
                                    " of the network without a range (they stay float), " +
                                    std::to_string(fit.unmatched.size()) + " only in the cache"};
  if (!fit.unusable.empty())
    notes.push_back("warning: " + std::to_string(fit.unusable.size()) +
                    " matched scales are zero, infinite or absurd, the first is that of '" + fit.unusable.front() +
                    "'; these tensors have no range");
  notes.insert(notes.end(), file_notes.begin(), file_notes.end());
  return Ranges{std::make_shared<const CalibrationTable>(std::move(table)), std::move(notes)};
}

CalibrationMethod method_of(TrtAlgorithm algorithm) {
  switch (algorithm) {
    case TrtAlgorithm::minmax: return CalibrationMethod::max;
    case TrtAlgorithm::legacy: return CalibrationMethod::percentile;
    default: return CalibrationMethod::entropy;
  }
}

}  // namespace

int process_rank() {
  const Result<const ProcessGroup*> group = ProcessGroup::world();
  return group ? (*group)->rank() : 0;
}

Result<Ranges> calibrate(const Model& model, const CalibrateSpec& spec) {
  const std::optional<CalibrationMethod> method = calibration_method_from_name(spec.method);
  if (!method) return unknown_method(spec.method);
  if (spec.target != "octet" && spec.target != "tensorrt")
    return Error{ErrorCode::bad_argument, "--target " + spec.target + ": unknown; use octet or tensorrt"};
  if (spec.ref_compat && (*method == CalibrationMethod::automatic || spec.per_channel))
    return Error{ErrorCode::bad_argument,
                 "--ref-compat is the toolkit's calibration, which has neither --method auto nor --per-channel"};
  if (model.is_quantized())
    return Error{ErrorCode::bad_argument,
                 model.path() + " is quantized already (it holds Q/DQ nodes): calibrate the float model"};
  const Result<const ProcessGroup*> group = ProcessGroup::world();
  if (!group) return group.error();
  return Task(model, spec, *method, **group).run();
}

const std::string& Ranges::preprocess() const { return table->preprocess; }
int64_t Ranges::samples() const { return table->samples; }
bool Ranges::uncalibrated() const { return table->uncalibrated; }

std::string Ranges::json() const { return to_json(*table); }

Result<Done> Ranges::save(const std::string& path) const { return write_file_atomically(path, to_json(*table)); }

Result<Ranges> Ranges::load(const std::string& path) {
  const Result<std::string> text = read_text_file(path);
  if (!text) return text.error();
  Result<CalibrationTable> table = ranges_from_json(*text);
  if (!table) return within(path, table.error());
  return Ranges{std::make_shared<const CalibrationTable>(std::move(*table)), {}};
}

Result<Ranges> Ranges::load(const std::string& path, const Model& model, bool force) {
  const Result<std::string> bytes = read_text_file(path);
  if (!bytes) return bytes.error();
  Result<AnyCache> cache = parse_cache(*bytes);
  if (!cache) return within(path, cache.error());
  if (auto* own = std::get_if<CalibrationTable>(&*cache)) {
    if (own->model_hash != model.hash() && force && own->forced.empty())
      own->forced =
          "the ranges were made for model " + own->model_hash + ", but " + model.path() + " is " + model.hash();
    return Ranges{std::make_shared<const CalibrationTable>(std::move(*own)), {}};
  }
  Result<Ranges> ranges = Error{ErrorCode::internal, ""};
  if (const auto* trt = std::get_if<TrtCache>(&*cache)) {
    ranges = matched(trt->description() + " cache", foreign_ranges(*trt), trt->notes, method_of(trt->algorithm), model,
                     force);
  } else {
    const OrtTable& ort = std::get<OrtTable>(*cache);
    ranges =
        matched("ONNX Runtime calibration table", foreign_ranges(ort), ort.notes, CalibrationMethod::max, model, force);
  }
  if (!ranges) return within(path, ranges.error());
  return ranges;
}

std::string Ranges::text() const {
  const bool automatic = table->method == CalibrationMethod::automatic;
  std::vector<std::vector<std::string>> rows = {{"Tensor", "Min", "Max", "max", "entropy", "percentile", "mse"}};
  if (automatic) rows[0].emplace_back("auto");
  for (const TensorRange& t : table->tensors) {
    std::vector<std::string> row = {t.name, short_number(t.min), short_number(t.max)};
    const auto ends = [](const ChosenRange& r) { return short_number(r.lo) + " .. " + short_number(r.hi); };
    for (const CalibrationMethod m : k_calibration_methods) row.push_back(ends(t.range(m)));
    if (automatic) row.push_back(t.automatic_from);
    rows.push_back(std::move(row));
  }
  return text_table(rows);
}

}  // namespace octet
