// The calibrator interface: TensorRT's order of calls around octet's float engine.
#include "api/calibrator_run.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <unordered_map>
#include <unordered_set>

#include "api/state.h"
#include "backends/open.h"
#include "base/aligned.h"
#include "data/dataset.h"
#include "data/image_io.h"
#include "octet/version.h"
#include "passes/passes.h"
#include "quant/cache_file.h"
#include "quant/trt_histogram.h"

namespace octet {
namespace {

constexpr int64_t k_few_samples = 100;

CalibrationMethod method_of(TrtAlgorithm algorithm) {
  switch (algorithm) {
    case TrtAlgorithm::minmax: return CalibrationMethod::max;
    case TrtAlgorithm::legacy: return CalibrationMethod::percentile;
    default: return CalibrationMethod::entropy;
  }
}

class CalibratorRun {
 public:
  CalibratorRun(const Model& model, IInt8Calibrator& calibrator, const CalibratorOptions& options,
                const DeviceCopies& copies)
      : model_(model), calibrator_(calibrator), options_(options), copies_(copies) {}

  Result<Ranges> run() {
    algorithm_ = static_cast<TrtAlgorithm>(calibrator_.getAlgorithm());
    legacy_ = dynamic_cast<IInt8LegacyCalibrator*>(&calibrator_);
    batch_size_ = calibrator_.getBatchSize();
    if (Result<Done> ok = check(); !ok) return ok.error();
    if (std::optional<Result<Ranges>> cached = from_cache()) return *std::move(cached);
    if (Result<Done> ok = check_regression(); !ok) return ok.error();
    list_points();
    if (!from_histogram_cache()) {
      if (Result<Done> built = build(); !built) return built.error();
      if (Result<Done> done = collect(); !done) return done.error();
      to_histogram_cache();
    }
    TrtCache cache = cache_of();
    const std::string bytes = to_text(cache);
    calibrator_.writeCalibrationCache(bytes.data(), bytes.size());
    return ranges_of(cache, batches_ == 0
                                ? "histogram cache used, no batch was asked for"
                                : "calibrated " + std::to_string(samples_) + " samples in " + std::to_string(batches_) +
                                      " batches by " + std::string(trt_word(algorithm_)));
  }

 private:
  Result<Done> check() const {
    if (model_.is_quantized())
      return Error{ErrorCode::bad_argument, model_.path() + " is quantized already: calibrate the float model"};
    if (batch_size_ < 1)
      return Error{ErrorCode::bad_argument,
                   "the calibrator's getBatchSize() is " + std::to_string(batch_size_) + ", expected at least 1"};
    if (legacy_ && !(legacy_->getQuantile() > 0 && legacy_->getQuantile() <= 1))
      return Error{ErrorCode::bad_argument, "the legacy calibrator's quantile must lie in (0, 1]"};
    return Done{};
  }

  /// Asked when there is something to calibrate: a cache holds ranges that need no regression any more.
  Result<Done> check_regression() const {
    if (legacy_ && legacy_->getRegressionCutoff() != 1.0)
      return Error{ErrorCode::unsupported, "the legacy calibrator's regression cutoff is " +
                                               std::to_string(legacy_->getRegressionCutoff()) +
                                               "; only 1 (no regression) is known to octet"};
    return Done{};
  }

  /// What the calibrator's cache gives; nothing when there is none or it is another calibrator's, as in TensorRT.
  std::optional<Result<Ranges>> from_cache() {
    size_t length = 0;
    const void* bytes = calibrator_.readCalibrationCache(length);
    if (!bytes || length == 0) return std::nullopt;
    const std::string_view text(static_cast<const char*>(bytes), length);
    if (!is_trt_cache(text)) {
      notes_.emplace_back("warning: the calibrator's cache is not TensorRT's text form; it was not used");
      return std::nullopt;
    }
    const Result<TrtCache> cache = parse_trt_cache(text);
    if (!cache) return Result<Ranges>(cache.error());
    if (cache->algorithm != algorithm_) {
      notes_.push_back("warning: the cache is of " + std::string(trt_word(cache->algorithm)) + ", the calibrator is " +
                       std::string(trt_word(algorithm_)) + "; it was not used");
      return std::nullopt;
    }
    if (legacy_ &&
        (cache->quantile != legacy_->getQuantile() || cache->regression_cutoff != legacy_->getRegressionCutoff())) {
      const auto pair = [](double quantile, double cutoff) {
        return "quantile " + std::to_string(quantile) + ", regression cutoff " + std::to_string(cutoff);
      };
      notes_.push_back("warning: the cache is of " + pair(cache->quantile, cache->regression_cutoff) +
                       ", the calibrator of " + pair(legacy_->getQuantile(), legacy_->getRegressionCutoff()) +
                       "; it was not used");
      return std::nullopt;
    }
    return ranges_of(*cache, "calibration cache used, no batch was asked for");
  }

  void list_points() {
    for (const std::string& point : calibration_points(model_.state().graph)) {
      order_.push_back(point);
      histograms_[point];
    }
  }

  /// The legacy calibrator's second cache: what was counted, so that another quantile needs no batch.
  bool from_histogram_cache() {
    if (!legacy_) return false;
    size_t length = 0;
    const void* bytes = legacy_->readHistogramCache(length);
    if (!bytes || length == 0) return false;
    Result<TrtHistogramCache> cache = parse_trt_histograms({static_cast<const char*>(bytes), length});
    if (!cache) {
      notes_.push_back("warning: the calibrator's histogram cache was not used: " + cache.error().message);
      return false;
    }
    if (cache->model_hash != model_.hash()) {
      notes_.push_back("warning: the calibrator's histogram cache was not used: it was made for model " +
                       cache->model_hash + ", this one is " + model_.hash());
      return false;
    }
    for (const std::string& point : order_)
      if (!cache->histograms.contains(point)) {
        notes_.push_back("warning: the calibrator's histogram cache was not used: it lacks '" + point + "'");
        return false;
      }
    for (const std::string& point : order_) histograms_[point] = cache->histograms.at(point);
    samples_ = cache->samples;
    return true;
  }

  void to_histogram_cache() {
    if (!legacy_) return;
    TrtHistogramCache cache{model_.hash(), samples_, {}};
    for (const std::string& point : order_) cache.histograms.emplace(point, histograms_.at(point));
    const std::string bytes = to_bytes(cache);
    legacy_->writeHistogramCache(bytes.data(), bytes.size());
  }

  Result<Done> build() {
    const Graph& clean = model_.state().graph;
    // A batch that the file fixes stays: the calibrator's batch then takes several runs, as with TensorRT.
    const bool is_fixed = std::all_of(clean.inputs.begin(), clean.inputs.end(), [&](ValueId v) {
      const std::optional<Shape>& shape = clean.value(v).shape;
      return shape && !shape->empty() && shape->front().known();
    });
    Result<Graph> graph =
        lower_to_calibrate(clean, {.batch = is_fixed ? 0 : batch_size_, .shapes = {}}, model_.state().skip_passes);
    if (!graph) return within(model_.path(), graph.error());
    const Result<std::shared_ptr<Backend>> backend = open_backend("cpu", {.threads = options_.threads});
    if (!backend) return backend.error();
    Result<std::shared_ptr<const Engine>> engine = Engine::build(std::move(*graph), *backend);
    if (!engine) return within(model_.path(), engine.error());
    engine_ = *engine;
    Result<Context> context = Context::make(engine_);
    if (!context) return context.error();
    context_.emplace(*std::move(context));
    return bind();
  }

  /// Buffers for inputs and outputs; how many runs one of the calibrator's batches takes.
  Result<Done> bind() {
    const Graph& graph = engine_->plan().graph;
    for (const auto* ids : {&graph.inputs, &graph.outputs}) {
      for (const ValueId id : *ids) {
        const Value& value = graph.value(id);
        const Dims dims = *known_dims(*value.shape);
        const size_t bytes = static_cast<size_t>(*element_count(dims)) * size_of(value.dtype);
        buffers_.push_back(allocate_aligned(std::max<size_t>(bytes, 1)));
        if (!buffers_.back()) return Error{ErrorCode::out_of_memory, "no memory for '" + value.name + "'"};
        const bool input = ids == &graph.inputs;
        (input ? io_.inputs : io_.outputs).push_back(TensorView::dense(value.dtype, dims, buffers_.back().get()));
        if (!input) continue;
        if (value.dtype != DType::f32 || dims.empty() || dims[0] < 1)
          return Error{ErrorCode::unsupported, "a calibrator feeds f32 inputs with a batch in front; input '" +
                                                   value.name + "' is " + std::string(name(value.dtype)) +
                                                   to_string(dims)};
        names_.push_back(value.name);
        run_batch_ = dims[0];
      }
    }
    if (batch_size_ % run_batch_ != 0)
      return Error{ErrorCode::bad_argument,
                   "the network's batch is fixed at " + std::to_string(run_batch_) +
                       ", which does not divide getBatchSize() = " + std::to_string(batch_size_)};
    if (run_batch_ != batch_size_)
      notes_.push_back("the network's batch is fixed at " + std::to_string(run_batch_) + ": each batch of " +
                       std::to_string(batch_size_) + " takes " + std::to_string(batch_size_ / run_batch_) + " runs");
    return Done{};
  }

  Result<Done> collect() {
    std::vector<const char*> names;
    for (const std::string& name : names_) names.push_back(name.c_str());
    std::vector<void*> bindings(names.size(), nullptr);
    while (calibrator_.getBatch(bindings.data(), names.data(), static_cast<int32_t>(names.size()))) {
      for (size_t i = 0; i < bindings.size(); ++i)
        if (!bindings[i])
          return Error{ErrorCode::bad_argument, "batch " + std::to_string(batches_) +
                                                    ": getBatch() left the binding of '" + names_[i] + "' null"};
      for (int64_t at = 0; at < batch_size_; at += run_batch_)
        if (Result<Done> done = run_once(bindings, at / run_batch_); !done) return done;
      for (auto& [point, histogram] : histograms_) histogram.end_batch();
      ++batches_;
      samples_ += batch_size_;
      std::fill(bindings.begin(), bindings.end(), nullptr);
    }
    if (batches_ == 0)
      return Error{ErrorCode::bad_argument, "the calibrator gave no batch: getBatch() returned false at once"};
    if (samples_ < k_few_samples)
      notes_.push_back("warning: only " + std::to_string(samples_) +
                       " samples; about 500 serve a convolutional network");
    return Done{};
  }

  Result<Done> run_once(const std::vector<void*>& bindings, int64_t part) {
    seen_.clear();
    for (size_t i = 0; i < bindings.size(); ++i) {
      const size_t bytes = static_cast<size_t>(*element_count(io_.inputs[i].dims)) * sizeof(float);
      const std::byte* from = static_cast<const std::byte*>(bindings[i]) + static_cast<size_t>(part) * bytes;
      if (calibrator_.memory() == CalibratorMemory::host) {
        std::memcpy(buffers_[i].get(), from, bytes);
      } else if (Result<Done> copied = copies_.to_host(buffers_[i].get(), from, bytes); !copied) {
        return within("batch " + std::to_string(batches_) + ", the binding of '" + names_[i] + "'", copied.error());
      }
      observe(names_[i], io_.inputs[i]);
    }
    RunHooks hooks;
    hooks.tap = [this](std::string_view value, const TensorView& view) { observe(std::string(value), view); };
    if (Result<Done> done = context_->run(io_, hooks); !done) return done;
    if (!not_finite_.empty())
      return Error{ErrorCode::bad_model, "tensor '" + not_finite_ + "' has values that are not finite in batch " +
                                             std::to_string(batches_) + "; check its samples and their preprocessing"};
    return Done{};
  }

  void observe(const std::string& value, const TensorView& view) {
    const auto at = histograms_.find(value);
    if (at == histograms_.end() || view.dtype != DType::f32 || !seen_.insert(value).second) return;
    row_.clear();
    gather(view, 0, reinterpret_cast<const float*>(view.data));
    const bool finite = std::all_of(row_.begin(), row_.end(), [](float x) { return std::isfinite(x); });
    if (!finite) {
      if (not_finite_.empty()) not_finite_ = value;
      return;
    }
    at->second.collect(row_);
  }

  void gather(const TensorView& view, size_t depth, const float* at) {
    if (depth == view.dims.size()) return row_.push_back(*at);
    for (int64_t i = 0; i < view.dims[depth]; ++i) gather(view, depth + 1, at + i * view.strides[depth]);
  }

  TrtCache cache_of() const {
    TrtCache cache;
    cache.algorithm = algorithm_;
    cache.version = legacy_ ? "" : options_.cache_version;
    if (legacy_) {
      cache.quantile = legacy_->getQuantile();
      cache.regression_cutoff = legacy_->getRegressionCutoff();
    }
    for (const std::string& point : order_) {
      const TrtHistogram& h = histograms_.at(point);
      if (h.count() == 0) continue;
      const double threshold = algorithm_ == TrtAlgorithm::minmax   ? h.max()
                               : algorithm_ == TrtAlgorithm::legacy ? h.quantile_threshold(cache.quantile)
                                                                    : h.entropy_threshold();
      const auto scale = static_cast<float>(threshold / 127);
      cache.scales.push_back({point, std::isnormal(scale) ? scale : 1.0f / 127.0f});
    }
    return cache;
  }

  Result<Ranges> ranges_of(const TrtCache& cache, const std::string& note) {
    const Graph& graph = model_.state().graph;
    std::vector<std::string> inputs;
    for (const ValueId id : graph.inputs) inputs.push_back(graph.value(id).name);
    const std::vector<std::string> wanted = calibration_points(graph);
    const std::vector<ForeignRange> rows = foreign_ranges(cache);
    const CacheFit fit = fit_cache(rows, wanted, inputs);
    if (!fit.refusal.empty())
      return Error{ErrorCode::bad_argument, "the calibrator's cache does not fit " + model_.path() + ": " +
                                                fit.refusal + "; delete it to calibrate again"};
    CalibrationTable table;
    table.model_hash = model_.hash();
    table.octet_version = k_version;
    table.source = cache.description() + " calibrator";
    table.samples = samples_;
    table.method = method_of(algorithm_);
    table.tensors = rows_from(rows, wanted);
    notes_.insert(notes_.begin(), note);
    if (!fit.missing.empty())
      notes_.push_back(std::to_string(fit.missing.size()) +
                       " tensors have no range in the cache and stay float, the first is '" + fit.missing.front() +
                       "'");
    return Ranges{std::make_shared<const CalibrationTable>(std::move(table)), notes_};
  }

  const Model& model_;
  IInt8Calibrator& calibrator_;
  const CalibratorOptions& options_;
  const DeviceCopies copies_;
  TrtAlgorithm algorithm_ = TrtAlgorithm::entropy2;
  IInt8LegacyCalibrator* legacy_ = nullptr;
  int64_t batch_size_ = 1, run_batch_ = 1, batches_ = 0, samples_ = 0;
  std::shared_ptr<const Engine> engine_;
  std::optional<Context> context_;
  std::vector<AlignedBytes> buffers_;
  Bindings io_;
  std::vector<std::string> names_, order_, notes_;
  std::unordered_map<std::string, TrtHistogram> histograms_;  // only asked by name, or all alike
  std::unordered_set<std::string> seen_;                      // in the run at hand
  std::vector<float> row_;
  std::string not_finite_;
};

}  // namespace

bool copy_to_binding(void* binding, const void* host, std::size_t bytes, CalibratorMemory memory) {
  if (memory == CalibratorMemory::device) return device_copies().to_device(binding, host, bytes).has_value();
  std::memcpy(binding, host, bytes);
  return true;
}

Result<Done> read_picture(const std::string& path, const std::string& preprocess, int64_t height, int64_t width,
                          float* out) {
  const Result<std::unique_ptr<Dataset>> picture = open_dataset(path, {.preprocess = preprocess});
  if (!picture) return picture.error();
  const Dims dims = {3, height, width};
  const std::optional<int64_t> count = element_count(dims);
  if (!count) return Error{ErrorCode::bad_argument, "a picture of " + to_string(dims) + " makes no sense"};
  return (*picture)->read(0, dims, {out, static_cast<size_t>(*count)});
}

Result<std::vector<std::string>> picture_files(const std::string& folder) {
  std::vector<std::string> files;
  std::error_code failed;
  for (std::filesystem::directory_iterator at(folder, failed), end; !failed && at != end; at.increment(failed)) {
    const std::string path = at->path().string();
    if (at->path().filename().string().starts_with('.')) continue;
    if (is_image_name(path)) files.push_back(path);
    if (is_foreign_image_name(path))
      return Error{ErrorCode::bad_argument, path + ": " + std::string(k_no_picture) + std::string(k_out_of_folder)};
  }
  if (failed) return Error{ErrorCode::io, folder + ": cannot list the folder: " + failed.message()};
  std::sort(files.begin(), files.end());
  return files;
}

Result<Ranges> calibrate(const Model& model, IInt8Calibrator& calibrator, const CalibratorOptions& options) {
  return calibrate_with(model, calibrator, options, device_copies());
}

Result<Ranges> calibrate_with(const Model& model, IInt8Calibrator& calibrator, const CalibratorOptions& options,
                              const DeviceCopies& copies) {
  try {
    return CalibratorRun(model, calibrator, options, copies).run();
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::out_of_memory, "no memory for the calibrator's histograms"};
  }
}

}  // namespace octet
