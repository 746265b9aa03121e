#include "calibrate/calibrate_as_toolkit.h"

#include <algorithm>
#include <numeric>
#include <unordered_map>

#include "calibrate/feed.h"
#include "quant/calibrator.h"
#include "quant/functions.h"

namespace octet {
namespace {

/// One observed tensor.
struct ToolkitPoint {
  std::string name;
  HistogramCalibrator histogram;
  Histogram seen{2};  // count, smallest and largest
  bool done = false;  // in the run at hand
};

class ToolkitCalibration {
 public:
  ToolkitCalibration(std::shared_ptr<const Engine> engine, const InputData& data, const CalibrateOptions& options)
      : engine_(std::move(engine)), data_(data), options_(options), pool_(std::max(options.threads, 1)) {}

  Result<CalibrationTable> run() {
    for (const std::string& name : options_.points) {
      Result<HistogramCalibrator> made = HistogramCalibrator::make({.name = name, .ref_compat = true});
      if (!made) return made.error();
      if (index_.emplace(name, points_.size()).second) points_.push_back({name, *std::move(made)});
    }
    Result<Feed> feed = Feed::make(*engine_, data_);
    if (!feed) return feed.error();
    Result<Context> context = Context::make(engine_);
    if (!context) return context.error();
    std::vector<int64_t> samples = options_.samples;
    if (samples.empty()) {
      samples.resize(static_cast<size_t>(data_.size()));
      std::iota(samples.begin(), samples.end(), int64_t{0});
    }
    const auto total = static_cast<int64_t>(samples.size());
    for (int64_t first = 0; first < total; first += feed->batch()) {
      const int64_t real = std::min(feed->batch(), total - first);
      Result<Done> done = feed->fill({samples.data() + first, static_cast<size_t>(real)}, pool_);
      if (done) done = run_batch(*feed, *context, real);
      if (!done) return done.error();
      if (options_.progress) options_.progress(first + real, total);
    }
    return table(total);
  }

 private:
  Result<Done> run_batch(Feed& feed, Context& context, int64_t real) {
    for (ToolkitPoint& point : points_) point.done = false;
    Result<Done> collected = Done{};
    const auto observe = [&](std::string_view value, const TensorView& view) {
      const auto at = index_.find(std::string(value));
      if (collected && at != index_.end()) collected = collect(points_[at->second], view, feed.batch(), real);
    };
    for (size_t i = 0; i < feed.inputs().size(); ++i) observe(engine_->input(i).name, feed.inputs()[i].view);
    RunHooks hooks;
    hooks.tap = observe;
    if (Result<Done> ran = feed.run(context, hooks); !ran) return ran;
    return collected;
  }

  static Result<Done> collect(ToolkitPoint& point, TensorView view, int64_t batch, int64_t real) {
    if (point.done || view.dtype != DType::f32) return Done{};
    point.done = true;
    // A last partial batch counts for its real samples; a tensor that does not carry the batch is taken whole.
    if (!view.dims.empty() && view.dims[0] % batch == 0) view.dims[0] = view.dims[0] / batch * real;
    const Result<Tensor> dense = dense_copy(view);
    if (!dense) return dense.error();
    point.seen.collect(dense->as<float>());
    if (Result<Done> done = point.histogram.collect(view_of(*dense)); !done) {
      return within("tensor '" + point.name + "'", done.error());
    }
    return Done{};
  }

  Result<CalibrationTable> table(int64_t samples) {
    CalibrationTable table;
    table.samples = samples;
    table.percentile = options_.percentile;
    for (ToolkitPoint& point : points_) {
      if (point.seen.count() == 0) {
        return Error{ErrorCode::bad_model, "tensor '" + point.name + "' was never reached while calibrating"};
      }
      TensorRange row;
      row.name = point.name;
      row.min = point.seen.min();
      row.max = point.seen.max();
      row.count = point.seen.count();
      for (const CalibrationMethod method : k_calibration_methods) {
        const Result<ChosenRange> chosen = choose(point, method);
        if (!chosen) return within("tensor '" + point.name + "', " + std::string(name(method)), chosen.error());
        row.by_method[static_cast<size_t>(method)] = *chosen;
      }
      table.tensors.push_back(std::move(row));
    }
    return table;
  }

  Result<ChosenRange> choose(ToolkitPoint& point, CalibrationMethod method) const {
    if (method == CalibrationMethod::max) {
      const float amax = std::max(-point.seen.min(), point.seen.max());
      return ChosenRange{amax, point.seen.min() < 0 ? -amax : 0.0f, amax};
    }
    const Result<float> amax = search(point, method, false);
    if (!amax || point.seen.min() < 0) return amax ? Result<ChosenRange>({*amax, -*amax, *amax}) : amax.error();
    const Result<float> hi = search(point, method, true);
    if (!hi) return hi.error();
    return ChosenRange{*amax, 0.0f, *hi};
  }

  Result<float> search(ToolkitPoint& point, CalibrationMethod method, bool is_unsigned) const {
    point.histogram.set_codes(8, is_unsigned);
    const Result<std::optional<Tensor>> amax =
        point.histogram.compute_amax({.method = std::string(name(method)), .percentile = options_.percentile});
    if (!amax) return amax.error();
    return (*amax)->at<float>(0);
  }

  std::shared_ptr<const Engine> engine_;  // shared with the context
  const InputData& data_;
  const CalibrateOptions& options_;
  ThreadPool pool_;
  std::vector<ToolkitPoint> points_;
  std::unordered_map<std::string, size_t> index_;
};

}  // namespace

Result<CalibrationTable> calibrate_as_toolkit(const std::shared_ptr<const Engine>& engine, const InputData& data,
                                              const CalibrateOptions& options) {
  if (data.size() == 0) return Error{ErrorCode::bad_argument, "no samples to calibrate with"};
  if (options.group && options.group->size() > 1) {
    return Error{ErrorCode::bad_argument,
                 "the toolkit's histograms depend on the order of the data and cannot be merged; "
                 "calibrate with --ref-compat in one process"};
  }
  return ToolkitCalibration(engine, data, options).run();
}

}  // namespace octet
