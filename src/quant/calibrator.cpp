#include "quant/calibrator.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "quant/choose.h"
#include "quant/functions.h"
#include "quant/reduce_amax.h"
#include "quant/walk.h"

namespace octet {
namespace {

Error bad(std::string message) { return {ErrorCode::bad_argument, std::move(message)}; }

std::string of_tensor(const std::string& name) { return name.empty() ? "a tensor" : "tensor '" + name + "'"; }

bool is_empty(const TensorView& x) {
  return std::any_of(x.dims.begin(), x.dims.end(), [](int64_t d) { return d == 0; });
}

Result<int64_t> count_non_finite(const TensorView& x, const QuantRows& rows) {
  int64_t found = 0;
  const Result<Done> done = walk({.x = x}, rows, [&](const Row& r) {
    if (rows.abs_max(r.x, r.n) < 0x7f800000u) return;
    found += std::count_if(r.x, r.x + r.n, [](float v) { return !std::isfinite(v); });
  });
  if (!done) return done.error();
  return found;
}

Error not_finite(const std::string& name, int64_t count, int64_t batch) {
  return bad(of_tensor(name) + " has " + std::to_string(count) + " values that are not finite in batch " +
             std::to_string(batch) + "; check the data, or skip them");
}

/// A dense f32 copy with zeros for what is not finite: they never are the maximum.
Result<Tensor> without_non_finite(const TensorView& x, const QuantRows& rows) {
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(DType::f32, x.dims);
  if (!made) return made.error();
  const TensorView y = TensorView::dense(DType::f32, x.dims, made->second);
  const Result<Done> done = walk({.x = x, .y = y}, rows, [](const Row& r) {
    for (size_t i = 0; i < r.n; ++i) r.y[i] = std::isfinite(r.x[i]) ? r.x[i] : 0.0f;
  });
  if (!done) return done.error();
  return std::move(made->first);
}

/// torch.max of two tensors of equal dims: NaN wins.
Tensor larger(const Tensor& a, const Tensor& b) {
  std::vector<float> most;
  for (int64_t i = 0; i < a.size(); ++i) {
    const float x = a.at<float>(i), y = b.at<float>(i);
    most.push_back(std::isnan(x) || std::isnan(y) ? std::nanf("") : std::max(x, y));
  }
  return f32_tensor(a.dims(), most);
}

}  // namespace

Result<Done> MaxCalibrator::collect(const TensorView& x) {
  const Result<const QuantRows*> rows = chosen_quant_rows();
  if (!rows) return rows.error();
  if (is_empty(x) && !options_.ref_compat) return Done{};
  ++batches_;
  Result<Tensor> local = kept_amax(x, options_.axis, options_.ref_compat);
  if (!local) return within(of_tensor(options_.name), local.error());
  if (!options_.ref_compat) {
    const Result<int64_t> strange = count_non_finite(x, **rows);
    if (!strange) return strange.error();
    if (*strange > 0) {
      if (options_.non_finite == NonFinite::error) return not_finite(options_.name, *strange, batches_);
      const Result<Tensor> kept = without_non_finite(x, **rows);
      if (!kept) return kept.error();
      local = kept_amax(view_of(*kept), options_.axis);
      if (!local) return local.error();
    }
  }
  if (amax_ && amax_->dims() != local->dims()) {
    return bad("amax shape changed! " + of_tensor(options_.name) + " gave " +
               to_string(std::span<const int64_t>(amax_->dims())) + ", batch " + std::to_string(batches_) + " gives " +
               to_string(std::span<const int64_t>(local->dims())));
  }
  if (!amax_) first_tracked_ = tracked_.size();
  amax_ = amax_ ? larger(*amax_, *local) : *local;
  if (options_.track_amax) tracked_.push_back(*std::move(local));
  // The toolkit's first entry is the amax itself and moves with it.
  if (options_.track_amax && options_.ref_compat) tracked_[first_tracked_] = *amax_;
  return Done{};
}

Result<std::optional<Tensor>> MaxCalibrator::compute_amax(const AmaxOptions& options) const {
  if (options.method.empty() || options.method == "max") return amax_;
  return bad("a max calibrator knows the maximum only, not method '" + options.method + "'");
}

void MaxCalibrator::reset() {
  amax_.reset();
  batches_ = 0;
  if (!options_.ref_compat) tracked_.clear();  // D25
}

namespace {

constexpr int k_toolkit_bins = 2048, k_toolkit_start = 128;
constexpr int k_least_bins = 4096, k_most_bins = 65536;  // Histogram's own limit

/// 32 bins for each level, so that the search has something to choose (D28).
int bins_for(NumBits bits, bool is_unsigned) {
  if (bits.is_e4m3) return k_least_bins;
  const int64_t wanted = k_bins_per_level * bits.levels(is_unsigned);
  return static_cast<int>(std::clamp<int64_t>(wanted, k_least_bins, k_most_bins));
}

}  // namespace

Result<HistogramCalibrator> HistogramCalibrator::make(HistogramCalibratorOptions o) {
  if (o.axis) {
    return Error{ErrorCode::unsupported,
                 "Calibrator histogram collection only supports per tensor scaling; calib_method max "
                 "has one amax per channel"};
  }
  if (!o.num_bits.is_e4m3 && (o.num_bits.integer < 1 || o.num_bits.integer > 24)) {
    return bad("num_bits is " + std::to_string(o.num_bits.integer) + "; expected 1 to 24");
  }
  if (o.ref_compat) {
    if (o.num_bins < 0 || o.num_bins > k_toolkit_most_bins) {
      return bad("num_bins is " + std::to_string(o.num_bins) + "; expected 1 to " +
                 std::to_string(k_toolkit_most_bins));
    }
    return HistogramCalibrator(std::move(o), 2);
  }
  if (o.num_bins != 0 &&
      (o.num_bins < 2 || o.num_bins > k_most_bins || !std::has_single_bit(static_cast<unsigned>(o.num_bins)))) {
    return bad("num_bins is " + std::to_string(o.num_bins) +
               "; a power of two from 2 to 65536 is expected, so that bins merge exactly");
  }
  // Unsigned codes want twice the bins of signed ones, and which it will be may be set later (D18).
  const int bins = o.num_bins ? o.num_bins : std::max(Histogram::k_bins, bins_for(o.num_bits, true));
  return HistogramCalibrator(std::move(o), bins);
}

HistogramCalibrator::HistogramCalibrator(HistogramCalibratorOptions options, int bins)
    : options_(std::move(options)), histogram_(bins) {
  toolkit_.torch_hist = options_.torch_hist;
  toolkit_.skip_zeros = options_.skip_zeros;
  toolkit_.num_bins = options_.num_bins ? options_.num_bins : k_toolkit_bins;
}

Result<Done> HistogramCalibrator::collect(const TensorView& x) {
  const Result<const QuantRows*> rows = chosen_quant_rows();
  if (!rows) return rows.error();
  ++batches_;
  if (options_.ref_compat) {
    std::vector<float> all;
    const Result<Done> read = walk({.x = x}, **rows, [&](const Row& r) { all.insert(all.end(), r.x, r.x + r.n); });
    if (!read) return read;
    return toolkit_.collect(all);
  }
  if (options_.non_finite == NonFinite::error) {
    const Result<int64_t> strange = count_non_finite(x, **rows);
    if (!strange) return strange.error();
    if (*strange > 0) return not_finite(options_.name, *strange, batches_);
  }
  return walk({.x = x}, **rows, [&](const Row& r) { histogram_.collect({r.x, r.n}); });
}

void HistogramCalibrator::reset() {
  batches_ = 0;
  histogram_.reset();
  toolkit_.reset();  // which keeps the grown number of bins (D25)
}

void HistogramCalibrator::set_codes(NumBits num_bits, bool is_unsigned) {
  options_.num_bits = num_bits;
  options_.is_unsigned = is_unsigned;
}

Bins HistogramCalibrator::view() const {
  const int bins = options_.num_bins ? options_.num_bins
                                     : std::min(bins_for(options_.num_bits, options_.is_unsigned), histogram_.bins());
  return histogram_.view(Side::magnitude, bins, !options_.skip_zeros);
}

std::vector<double> HistogramCalibrator::counts() const {
  if (options_.ref_compat) return toolkit_.counts;
  const Bins bins = view();
  return {bins.counts.begin(), bins.counts.end()};
}

std::vector<double> HistogramCalibrator::edges() const {
  if (options_.ref_compat) return toolkit_.edges;
  const Bins bins = view();
  std::vector<double> out;
  for (size_t i = 0; i <= bins.counts.size(); ++i) out.push_back(bins.edge(i));
  return out;
}

Result<std::optional<Tensor>> HistogramCalibrator::compute_amax(const AmaxOptions& options) {
  const std::string& method = options.method;
  if (method != "max" && method != "entropy" && method != "percentile" && method != "mse") {
    return bad("Unknown calibration method '" + method + "'; expected entropy, percentile, mse or max");
  }
  if (!(options.percentile >= 0 && options.percentile <= 100)) {
    return bad("Invalid percentile. Must be in range 0 <= percentile <= 100, not " +
               std::to_string(options.percentile));
  }
  if (options.stride < 1 || options.start_bin < 0) {
    return bad("stride is " + std::to_string(options.stride) + " and start_bin " + std::to_string(options.start_bin) +
               "; stride >= 1 and start_bin >= 0 are expected");
  }
  return options_.ref_compat ? choose_by_toolkit(options) : choose_by_octet(options);
}

Result<std::optional<Tensor>> HistogramCalibrator::choose_by_toolkit(const AmaxOptions& options) {
  if (toolkit_.open) return std::optional<Tensor>();
  const ToolkitSearch search{options_.num_bits, options_.is_unsigned, options.stride,
                             options.start_bin ? options.start_bin : k_toolkit_start};
  if (options.method == "percentile") {
    const Result<float> amax = toolkit_percentile(toolkit_, options.percentile);
    if (!amax) return amax.error();
    return std::optional(scalar_f32(*amax));
  }
  if (options.method == "max") return bad("Unknown calibration method max; the toolkit's histogram has none");
  const Result<ToolkitChoice> choice =
      options.method == "entropy" ? toolkit_entropy(toolkit_, search) : toolkit_mse(toolkit_, search);
  if (!choice) return choice.error();
  return std::optional(scalar_f32(choice->amax));
}

Result<std::optional<Tensor>> HistogramCalibrator::choose_by_octet(const AmaxOptions& options) const {
  if (histogram_.count() == 0) return std::optional<Tensor>();
  const Bins bins = view();
  if (bins.counts.empty()) {  // nothing but zeros
    return options_.skip_zeros ? std::optional<Tensor>() : std::optional(scalar_f32(0.0f));
  }
  const auto n = static_cast<int64_t>(bins.counts.size());
  if (options.method == "max") return std::optional(scalar_f32(static_cast<float>(bins.max)));
  if (options.method == "percentile") {
    return std::optional(scalar_f32(static_cast<float>(percentile_threshold(bins, options.percentile))));
  }
  if (options_.num_bits.is_e4m3) {
    return Error{ErrorCode::unsupported, options.method + " searches integer codes, not (4, 3); use max or percentile"};
  }
  const int64_t levels = options_.num_bits.levels(options_.is_unsigned);
  if (options.start_bin > n) {
    return bad("start_bin " + std::to_string(options.start_bin) + " lies beyond the histogram's " + std::to_string(n) +
               " bins; up to " + std::to_string(n) + " is expected");
  }
  const int64_t start = options.start_bin ? options.start_bin : levels;
  if (options.method == "mse") {
    if (options.stride != 1)
      return bad("stride is " + std::to_string(options.stride) + "; mse tries every edge, so 1 is expected");
    return std::optional(
        scalar_f32(static_cast<float>(mse_threshold(bins, static_cast<int>(levels), static_cast<int>(start)))));
  }
  return std::optional(scalar_f32(static_cast<float>(
      entropy_threshold(bins, static_cast<int>(levels), static_cast<int>(start), static_cast<int>(options.stride)))));
}

}  // namespace octet
