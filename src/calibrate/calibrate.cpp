// One pass over the samples: each batch runs once, every observed tensor goes into its histogram while it is alive, and
// the methods choose from the histograms at the end. The first four fifths and the last fifth are counted apart: their
// sum is what the ranges come from, their difference shows whether the ranges still move.
#include "calibrate/calibrate.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <numeric>
#include <optional>

#include "base/isa.h"
#include "calibrate/channel_order.h"
#include "calibrate/collector.h"
#include "calibrate/input_statistics.h"
#include "data/preprocess.h"
#include "kernels/histogram/histogram.h"
#include "quant/choose.h"

namespace octet {
namespace {

/// Bins of a histogram for eyes.
constexpr int k_shown_bins = 128;

/// What `auto` chooses from, beside the four methods: other percentiles.
constexpr double k_candidate_percentiles[] = {99.9, 99.99, 99.999};

IndexRow collector_kernel() {
  const Result<Isa> isa = chosen_isa();
  return isa ? histogram_kernels(*isa).index_f32 : nullptr;
}

/// [begin, end) of the part of `count` samples that falls to a process.
std::pair<int64_t, int64_t> share(int64_t count, const ProcessGroup& group) {
  return {count * group.rank() / group.size(), count * (group.rank() + 1) / group.size()};
}

std::string percentile_word(double percentile) {
  char text[48];
  std::snprintf(text, sizeof text, "percentile %.8g", percentile);
  return text;
}

class Calibration {
 public:
  Calibration(std::shared_ptr<const Engine> engine, const InputData& data, const CalibrateOptions& options,
              const ProcessGroup& group)
      : engine_(std::move(engine)),
        data_(data),
        options_(options),
        group_(group),
        pool_(std::max(options.threads, 1)),
        collector_({options.points, collector_kernel(), options.per_channel}),
        samples_(options.samples) {
    if (samples_.empty()) {
      samples_.resize(static_cast<size_t>(data.size()));
      std::iota(samples_.begin(), samples_.end(), int64_t{0});
    }
  }

  Result<Calibrated> run() {
    Result<Done> done = prepare();
    if (done) done = collect_share();
    if (Result<Done> all = agree(done); !all) return all.error();
    join_processes();
    Calibrated made;
    Result<Done> chosen = group_.rank() == 0 ? choose_ranges(made) : Result<Done>(Done{});
    if (Result<Done> all = agree(chosen); !all) return all.error();
    if (group_.size() > 1) {
      Result<CalibrationTable> table = ranges_from_json(group_.broadcast(to_json(made.table)));
      if (!table) return table.error();
      if (group_.rank() != 0) made.table = *std::move(table);
    }
    return made;
  }

 private:
  Result<Done> prepare() {
    Result<Feed> feed = Feed::make(*engine_, data_);
    if (!feed) return feed.error();
    feed_.emplace(*std::move(feed));
    statistics_.resize(feed_->inputs().size());
    Result<Context> context = Context::make(engine_);
    if (!context) return context.error();
    context_.emplace(*std::move(context));
    order_ = ChannelOrder(static_cast<int64_t>(samples_.size()));
    return Done{};
  }

  int64_t late_begin() const {
    const auto n = static_cast<int64_t>(samples_.size());
    return n - n / 5;
  }

  /// This process's part of both portions. Batches do not reach across the border.
  Result<Done> collect_share() {
    const auto total = static_cast<int64_t>(samples_.size());
    const auto [early_begin, early_end] = share(late_begin(), group_);
    const auto [late_first, late_last] = share(total - late_begin(), group_);
    const int64_t mine = early_end - early_begin + late_last - late_first;
    Result<Done> done = collect(early_begin, early_end, false, mine);
    if (done) done = collect(late_begin() + late_first, late_begin() + late_last, true, mine);
    return done;
  }

  Result<Done> collect(int64_t begin, int64_t end, bool late, int64_t mine) {
    for (int64_t first = begin; first < end; first += feed_->batch()) {
      const int64_t real = std::min(feed_->batch(), end - first);
      at_ = first;
      const std::span<const int64_t> batch(samples_.data() + first, static_cast<size_t>(real));
      Result<Done> done = feed_->fill(batch, pool_);
      if (done) done = run_batch(batch, late);
      if (!done) return done;
      done_ += real;
      // One process speaks for the group: all have parts of one size.
      if (options_.progress && group_.rank() == 0)
        options_.progress(mine ? done_ * static_cast<int64_t>(samples_.size()) / mine : 0,
                          static_cast<int64_t>(samples_.size()));
    }
    return Done{};
  }

  Result<Done> run_batch(std::span<const int64_t> batch, bool late) {
    const auto real = static_cast<int64_t>(batch.size());
    collector_.begin_run(feed_->batch(), real, late);
    for (size_t i = 0; i < feed_->inputs().size(); ++i) {
      const TensorView& view = feed_->inputs()[i].view;
      collector_.observe(engine_->input(i).name, view);
      if (view.dtype == DType::f32) statistics_[i].add(view, real);
    }
    RunHooks hooks;
    hooks.tap = [this](std::string_view value, const TensorView& view) { collector_.observe(value, view); };
    hooks.part_tap = [this](std::string_view value, const TensorView& view, int64_t first, int64_t images) {
      collector_.observe(value, view, first, images);
    };
    if (Result<Done> done = feed_->run(*context_, hooks); !done) return done;
    if (collector_.non_finite()) return not_finite(batch);
    for (int64_t slot = 0; slot < real; ++slot)
      order_.count_given(batch[static_cast<size_t>(slot)], data_.labels(batch[static_cast<size_t>(slot)]),
                         feed_->output(0, slot));
    return Done{};
  }

  Error not_finite(std::span<const int64_t> batch) const {
    const Collector::NonFinite& n = *collector_.non_finite();
    return {ErrorCode::bad_model, "tensor '" + collector_.points()[n.point].name + "' has " + std::to_string(n.count) +
                                      " values that are not finite for sample '" +
                                      data_.sample_name(batch[static_cast<size_t>(n.slot)]) +
                                      "'; check this sample and its preprocessing, or the network's weights"};
  }

  /// The same outcome in every process: the error that comes first in the order of the samples, if there is one.
  Result<Done> agree(const Result<Done>& mine) {
    if (group_.size() == 1) return mine;
    std::string report;
    if (!mine) {
      const std::string at = std::to_string(at_);
      report = std::string(20 - at.size(), '0') + at + std::to_string(static_cast<int>(mine.error().code)) +
               mine.error().message;
    }
    std::string first;
    for (const std::string& one : group_.gather(report))
      if (!one.empty() && (first.empty() || one < first)) first = one;
    first = group_.broadcast(first);
    if (first.empty()) return Done{};
    return Error{static_cast<ErrorCode>(first[20] - '0'), first.substr(21)};
  }

  void join_processes() {
    if (group_.size() == 1) return;
    for (Point& point : collector_.points()) {
      const std::vector<std::string> all = group_.gather(Collector::to_bytes(point));
      for (size_t i = 1; i < all.size(); ++i) Collector::join(point, all[i]);
    }
    for (InputStatistics& statistics : statistics_) {
      const std::vector<std::string> all = group_.gather(statistics.to_bytes());
      for (size_t i = 1; i < all.size(); ++i)
        if (const std::optional<InputStatistics> other = InputStatistics::from_bytes(all[i])) statistics.merge(*other);
    }
    const std::vector<std::string> orders = group_.gather(order_.to_bytes());
    for (size_t i = 1; i < orders.size(); ++i) order_.join(orders[i]);
  }

  Result<Done> choose_ranges(Calibrated& made) {
    made.table.samples = static_cast<int64_t>(samples_.size());
    made.table.percentile = options_.percentile;
    made.table.bins = Histogram::k_bins;
    const std::vector<Point>& points = collector_.points();
    for (const Point& point : points)
      if (point.count() == 0) return never_reached(point.name);
    made.table.tensors.resize(points.size());
    if (options_.method == CalibrationMethod::automatic) made.candidates.resize(points.size());
    std::vector<double> drifts(points.size());
    pool_.parallel_for(static_cast<int64_t>(points.size()), [&](int64_t i, int) {
      const auto at = static_cast<size_t>(i);
      std::vector<Candidate>* candidates = made.candidates.empty() ? nullptr : &made.candidates[at];
      drifts[at] = choose_for(points[at], made.table.tensors[at], candidates);
    });
    if (options_.on_histogram)
      for (size_t i = 0; i < points.size(); ++i)
        options_.on_histogram(made.table.tensors[i], points[i].all().view(Side::magnitude, k_shown_bins));
    return report(made, drifts);
  }

  static Error never_reached(const std::string& tensor) {
    return {ErrorCode::bad_model,
            "tensor '" + tensor + "' was never reached while calibrating: no step of the engine gives it as " +
                "f32; leave it out of the points, or build the engine without the pass that fuses it away"};
  }

  /// Fills the row; returns how far its range moved over the last fifth.
  double choose_for(const Point& point, TensorRange& row, std::vector<Candidate>* candidates) const {
    const Histogram all = point.all();
    row.name = point.name;
    row.min = all.min();
    row.max = all.max();
    row.count = all.count();
    row.channels = point.channels;
    for (const CalibrationMethod method : k_calibration_methods)
      row.by_method[static_cast<size_t>(method)] = choose(method, all, {options_.percentile});
    if (candidates) {
      for (const CalibrationMethod method : k_calibration_methods)
        if (method != CalibrationMethod::percentile)
          candidates->push_back({std::string(name(method)), row.range(method)});
      for (const double p : k_candidate_percentiles)
        candidates->push_back({percentile_word(p), choose(CalibrationMethod::percentile, all, {p})});
    }
    const CalibrationMethod judged =
        options_.method == CalibrationMethod::automatic ? CalibrationMethod::entropy : options_.method;
    return range_drift(choose(judged, point.early, {options_.percentile}).amax, row.range(judged).amax);
  }

  Result<Done> report(Calibrated& made, const std::vector<double>& drifts) {
    CalibrationReport& r = made.report;
    r.samples = static_cast<int64_t>(samples_.size());
    r.tensors = static_cast<int64_t>(collector_.points().size());
    for (const Point& point : collector_.points()) {
      const int64_t dead = point.dead_channels();
      if (point.early.zeros() + point.late.zeros() == point.count()) {
        r.dead_tensors.push_back(point.name);
      } else if (dead > 0) {
        CalibrationReport::DeadChannels row{point.name, static_cast<int64_t>(point.alive.size()), {}};
        for (size_t c = 0; c < point.alive.size(); ++c)
          if (!point.alive[c]) row.dead.push_back(static_cast<int64_t>(c));
        r.dead_channels.push_back(std::move(row));
      }
    }
    std::vector<std::string> names;
    for (const TensorRange& row : made.table.tensors) {
      names.push_back(row.name);
      const float amax = std::max(std::abs(row.min), std::abs(row.max));
      if (amax > 0 && amax <= 0x1p-24f) r.tiny_tensors.push_back(row.name);
    }
    const CalibrationMethod judged =
        options_.method == CalibrationMethod::automatic ? CalibrationMethod::entropy : options_.method;
    r.stability = judge_stability(judged, names, drifts, static_cast<int64_t>(samples_.size()) - late_begin());
    judge_inputs(r);
    return judge_order(r);
  }

  void judge_inputs(CalibrationReport& r) const {
    const Result<Preprocess> p = parse_preprocess(options_.preprocess.empty() ? "none" : options_.preprocess);
    const bool has_norm = p && !p->none && (p->mean != Preprocess().mean || p->std != Preprocess().std);
    for (size_t i = 0; i < statistics_.size(); ++i) {
      if (engine_->input(i).dtype != DType::f32) continue;
      r.inputs.push_back("'" + engine_->input(i).name + "': " + to_text(statistics_[i]));
      for (const std::string& finding : input_findings(statistics_[i], has_norm, p && p->scale_to_unit))
        r.findings.push_back(finding);
    }
  }

  Result<Done> judge_order(CalibrationReport& r) {
    const int64_t classes = static_cast<int64_t>(feed_->output(0, 0).size());
    const bool picture =
        statistics_.size() == 1 && statistics_[0].is_picture() && statistics_[0].channels().size() == 3;
    if (picture) {
      Result<Done> done = order_.judge_swapped(*feed_, *context_, data_, pool_);
      if (!done) return done;
    }
    order_.report(classes, r);
    return Done{};
  }

  std::shared_ptr<const Engine> engine_;  // shared with the context
  const InputData& data_;
  const CalibrateOptions& options_;
  const ProcessGroup& group_;
  ThreadPool pool_;
  Collector collector_;
  std::vector<int64_t> samples_;
  std::optional<Feed> feed_;
  std::optional<Context> context_;
  std::vector<InputStatistics> statistics_;  // by input
  ChannelOrder order_{0};
  int64_t at_ = 0, done_ = 0;
};

}  // namespace

Result<Calibrated> calibrate(const std::shared_ptr<const Engine>& engine, const InputData& data,
                             const CalibrateOptions& options) {
  if (data.size() == 0) return Error{ErrorCode::bad_argument, "no samples to calibrate with"};
  if (!(options.percentile >= 0 && options.percentile <= 100)) {
    return Error{ErrorCode::bad_argument, "percentile " + std::to_string(options.percentile) + " is not in [0, 100]"};
  }
  const ProcessGroup alone = ProcessGroup::alone();
  try {
    return Calibration(engine, data, options, options.group ? *options.group : alone).run();
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::out_of_memory, "no memory for the histograms of " + std::to_string(options.points.size()) +
                                               " tensors (256 KiB each)"};
  }
}

Result<CalibrationTable> calibrate(const std::shared_ptr<const Engine>& engine, const Dataset& data,
                                   const CalibrateOptions& options) {
  Result<Calibrated> made = calibrate(engine, InputData{{&data}}, options);
  if (!made) return made.error();
  return std::move(made->table);
}

MemoryForecast forecast(const Engine& engine, const CalibrateOptions& options) {
  MemoryForecast f;
  const Plan& plan = engine.plan();
  f.engine_bytes = plan.arena_bytes + engine.program().packed_bytes();
  for (const auto* ids : {&plan.graph.inputs, &plan.graph.outputs})
    for (const ValueId id : *ids) {
      const Value& value = plan.graph.value(id);
      const std::optional<Dims> dims = value.shape ? known_dims(*value.shape) : std::nullopt;
      if (dims) f.engine_bytes += static_cast<size_t>(element_count(*dims).value_or(0)) * size_of(value.dtype);
    }
  f.histogram_bytes = Collector::bytes_for(options.points.size());
  return f;
}

}  // namespace octet
