// One pass over the samples: each batch runs once, every observed tensor goes into its histogram while it is alive, and
// the four methods choose from the histograms at the end. Memory: one batch, plus 128 KiB for each observed tensor.
#include "calibrate/calibrate.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <optional>
#include <unordered_map>

#include "base/aligned.h"
#include "base/thread_pool.h"
#include "calibrate/collect_view.h"
#include "quant/choose.h"

namespace octet {
namespace {

struct Buffer {
  TensorView view;
  AlignedBytes bytes;
};

Result<Buffer> make_buffer(const Value& value) {
  const std::optional<Dims> dims = value.shape ? known_dims(*value.shape) : std::nullopt;
  const std::optional<int64_t> count = dims ? element_count(*dims) : std::nullopt;
  if (!count) return Error{ErrorCode::internal, "value '" + value.name + "' has no concrete shape in the engine"};
  Buffer buffer;
  buffer.bytes = allocate_aligned(static_cast<size_t>(*count) * size_of(value.dtype));
  if (!buffer.bytes) return Error{ErrorCode::out_of_memory, "no memory for '" + value.name + "' " + to_string(*dims)};
  buffer.view = TensorView::dense(value.dtype, *dims, buffer.bytes.get());
  return buffer;
}

/// One observed tensor.
struct Point {
  std::string name;
  Histogram histogram;
  bool is_input = false;
  bool seen = false;  // in the run at hand
};

class Calibration {
 public:
  Calibration(std::shared_ptr<const Engine> engine, const Dataset& data, const CalibrateOptions& options)
      : engine_(std::move(engine)), data_(data), options_(options), pool_(std::max(options.threads, 1)) {
    for (const std::string& name : options.points) {
      if (index_.emplace(name, points_.size()).second) points_.push_back({name, Histogram(), false, false});
    }
  }

  Result<Done> prepare() {
    const Graph& graph = engine_->plan().graph;
    if (graph.inputs.size() != 1) {
      return Error{ErrorCode::unsupported,
                   "calibration feeds one input, the network has " + std::to_string(graph.inputs.size())};
    }
    const Value& input = engine_->input(0);
    if (input.dtype != DType::f32) {
      return Error{ErrorCode::unsupported,
                   "calibration feeds f32, input '" + input.name + "' is " + std::string(name(input.dtype))};
    }
    for (const auto& [ids, buffers] : {std::pair(&graph.inputs, &inputs_), std::pair(&graph.outputs, &outputs_)}) {
      for (const ValueId id : *ids) {
        Result<Buffer> buffer = make_buffer(graph.value(id));
        if (!buffer) return buffer.error();
        buffers->push_back(*std::move(buffer));
      }
    }
    const Dims& dims = inputs_[0].view.dims;
    if (dims.empty() || dims[0] < 1)
      return Error{ErrorCode::unsupported, "input '" + input.name + "' has no batch dimension"};
    batch_ = dims[0];
    sample_dims_.assign(dims.begin() + 1, dims.end());
    const auto at = index_.find(input.name);
    if (at != index_.end()) points_[at->second].is_input = true;
    return Done{};
  }

  Result<Done> run_all() {
    Result<Context> context = Context::make(engine_);
    if (!context) return context.error();
    const int64_t total = data_.size();
    for (first_ = 0; first_ < total; first_ += batch_) {
      real_ = std::min(batch_, total - first_);
      Result<Done> done = read_batch();
      if (done) done = run_batch(*context);
      if (!done) return done.error();
      if (options_.progress) options_.progress(first_ + real_, total);
    }
    return Done{};
  }

  Result<CalibrationTable> table() {
    CalibrationTable table;
    table.samples = data_.size();
    table.percentile = options_.percentile;
    table.tensors.resize(points_.size());
    for (const Point& point : points_) {
      if (point.histogram.count() == 0) return never_reached(point.name);
    }
    pool_.parallel_for(static_cast<int64_t>(points_.size()), [&](int64_t i, int) {
      const Point& point = points_[static_cast<size_t>(i)];
      TensorRange& range = table.tensors[static_cast<size_t>(i)];
      range.name = point.name;
      range.min = point.histogram.min();
      range.max = point.histogram.max();
      range.count = point.histogram.count();
      for (const CalibrationMethod method : k_calibration_methods) {
        range.by_method[static_cast<size_t>(method)] = choose(method, point.histogram, {options_.percentile});
      }
    });
    return table;
  }

 private:
  static Error never_reached(const std::string& tensor) {
    return {ErrorCode::bad_model,
            "tensor '" + tensor + "' was never reached while calibrating: no step of the engine gives it as " +
                "f32; leave it out of the points, or build the engine without the pass that fuses it away"};
  }

  float* sample(int64_t i) {
    const auto each = static_cast<int64_t>(row_major_strides(inputs_[0].view.dims)[0]);
    return reinterpret_cast<float*>(inputs_[0].bytes.get()) + i * each;
  }

  /// Reads the batch; what a last partial batch lacks is filled with its first sample, which is not counted again.
  Result<Done> read_batch() {
    const auto each = static_cast<size_t>(row_major_strides(inputs_[0].view.dims)[0]);
    std::vector<std::optional<Error>> errors(static_cast<size_t>(real_));
    pool_.parallel_for(real_, [&](int64_t i, int) {
      const Result<Done> read = data_.read(first_ + i, sample_dims_, {sample(i), each});
      if (!read) errors[static_cast<size_t>(i)] = read.error();
    });
    for (const std::optional<Error>& error : errors) {
      if (error) return *error;
    }
    for (int64_t i = real_; i < batch_; ++i) std::copy_n(sample(0), each, sample(i));
    return Done{};
  }

  Result<Done> run_batch(Context& context) {
    for (Point& point : points_) point.seen = false;
    for (Point& point : points_) {
      if (point.is_input) observe(point, inputs_[0].view);
    }
    Bindings io;
    for (const Buffer& b : inputs_) io.inputs.push_back(b.view);
    for (const Buffer& b : outputs_) io.outputs.push_back(b.view);
    RunHooks hooks;
    hooks.tap = [this](std::string_view value, const TensorView& view) {
      const auto at = index_.find(std::string(value));
      if (at != index_.end()) observe(points_[at->second], view);
    };
    const Result<Done> done = context.run(io, hooks);
    if (!done) return done.error();
    if (non_finite_) return *non_finite_;
    return Done{};
  }

  void observe(Point& point, const TensorView& view) {
    if (point.seen || view.dtype != DType::f32) return;
    point.seen = true;
    // How much of dimension 0 belongs to one sample; a tensor that does not carry the batch there is taken whole.
    const int64_t rows = view.dims.empty() ? 1 : view.dims[0];
    const bool carries_batch = rows % batch_ == 0;
    const int64_t each = carries_batch ? rows / batch_ : rows, samples = carries_batch ? real_ : 1;
    const uint64_t before = point.histogram.non_finite();
    collect_view(point.histogram, view, 0, each * samples);
    if (point.histogram.non_finite() == before || non_finite_) return;
    for (int64_t i = 0; i < samples; ++i) {
      Histogram probe;
      collect_view(probe, view, i * each, (i + 1) * each);
      if (probe.non_finite() == 0) continue;
      non_finite_ =
          Error{ErrorCode::bad_model, "tensor '" + point.name + "' has " + std::to_string(probe.non_finite()) +
                                          " values that are not finite for sample '" + data_.sample_name(first_ + i) +
                                          "'; check this sample and its preprocessing, or the network's weights"};
      return;
    }
  }

  std::shared_ptr<const Engine> engine_;  // shared with the context
  const Dataset& data_;
  const CalibrateOptions& options_;
  ThreadPool pool_;
  std::vector<Point> points_;
  std::unordered_map<std::string, size_t> index_;
  std::vector<Buffer> inputs_, outputs_;
  Dims sample_dims_;
  int64_t batch_ = 1, first_ = 0, real_ = 0;
  std::optional<Error> non_finite_;
};

}  // namespace

Result<CalibrationTable> calibrate(const std::shared_ptr<const Engine>& engine, const Dataset& data,
                                   const CalibrateOptions& options) {
  if (data.size() == 0) return Error{ErrorCode::bad_argument, "no samples to calibrate with"};
  if (!(options.percentile >= 0 && options.percentile <= 100)) {
    return Error{ErrorCode::bad_argument, "percentile " + std::to_string(options.percentile) + " is not in [0, 100]"};
  }
  try {
    Calibration calibration(engine, data, options);
    Result<Done> done = calibration.prepare();
    if (done) done = calibration.run_all();
    if (!done) return done.error();
    return calibration.table();
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::out_of_memory, "no memory for the histograms of " + std::to_string(options.points.size()) +
                                               " tensors (128 KiB each)"};
  }
}

}  // namespace octet
