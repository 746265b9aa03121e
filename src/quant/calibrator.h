#pragma once
// Calibrators: watch a tensor batch by batch, then say its amax. Two kinds, as in the toolkit: the exact maximum (per
// tensor or per channel) and a histogram with entropy, percentile, MSE or max (per tensor).
//
// Default: histogram.h and choose.h, so the answer does not depend on how the data is cut or ordered. ref_compat: the
// toolkit's own (toolkit_histogram.h), defects included. Both refuse NaN and infinities unless told to skip them;
// ref_compat does with them what the toolkit does. Source: docs/toolkit_behaviour.md, Calibrators and choice rules.

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "quant/histogram.h"
#include "quant/num_bits.h"
#include "quant/toolkit_histogram.h"
#include "tensor/tensor.h"

namespace octet {

/// What to do with elements that are not finite (D5).
enum class NonFinite { error, skip };

/// How to come from what was seen to an amax.
struct AmaxOptions {
  std::string method = {};  // max, entropy, percentile or mse; empty = max for MaxCalibrator, an error for a histogram
  double percentile = 99.99;
  /// Searches try start_bin, start_bin + stride, ... bins. start_bin 0: 2^(b-1+u) levels, with ref_compat 128. The
  /// default mse tries every one.
  int64_t stride = 1, start_bin = 0;
};

struct MaxCalibratorOptions {
  std::optional<std::vector<int64_t>> axis = {};  // the axes that keep their own amax; none = per tensor
  bool track_amax = false;                        // keep each batch's
  NonFinite non_finite = NonFinite::error;
  std::string name = {};  // of the tensor, for errors
  bool ref_compat = false;
};

class MaxCalibrator {
 public:
  explicit MaxCalibrator(MaxCalibratorOptions options = {}) : options_(std::move(options)) {}
  /// Errors: "amax shape changed!", an axis that does not exist, non-finite elements. An empty tensor is a no-op, with
  /// ref_compat an error.
  Result<Done> collect(const TensorView& x);
  /// None before any batch. [1,..,C,..,1] for an axis, rank 0 without; method: empty or "max".
  Result<std::optional<Tensor>> compute_amax(const AmaxOptions& options = {}) const;
  const std::vector<Tensor>& tracked() const { return tracked_; }
  void reset();

 private:
  MaxCalibratorOptions options_;
  std::optional<Tensor> amax_;
  std::vector<Tensor> tracked_;
  size_t first_tracked_ = 0;  // since the last reset
  int64_t batches_ = 0;
};

struct HistogramCalibratorOptions {
  NumBits num_bits = 8;
  bool is_unsigned = false;
  std::optional<std::vector<int64_t>> axis = {};  // refused: histograms are per tensor
  int num_bins = 0;  // 0: 32 * levels, at least 4096, with ref_compat 2048. The default wants a power of two
  bool skip_zeros = false;
  bool torch_hist = true;  // with ref_compat: torch's counting or NumPy's
  NonFinite non_finite = NonFinite::error;
  std::string name = {};  // of the tensor, for errors
  bool ref_compat = false;
};

class HistogramCalibrator {
 public:
  /// Errors: an axis, bins that the collector cannot have, bits out of range.
  static Result<HistogramCalibrator> make(HistogramCalibratorOptions options = {});
  Result<Done> collect(const TensorView& x);
  /// None before any element. Errors: an unknown method, percentile outside [0, 100], a start_bin beyond the histogram.
  /// Not const: the toolkit's entropy changes its histogram (D27).
  Result<std::optional<Tensor>> compute_amax(const AmaxOptions& options);
  void reset();
  /// What the searches assume about the codes, from now on (D18).
  void set_codes(NumBits num_bits, bool is_unsigned);

  /// Counts and edges as the searches see them.
  std::vector<double> counts() const;
  std::vector<double> edges() const;

 private:
  explicit HistogramCalibrator(HistogramCalibratorOptions options, int bins);
  Result<std::optional<Tensor>> choose_by_toolkit(const AmaxOptions& options);
  Result<std::optional<Tensor>> choose_by_octet(const AmaxOptions& options) const;
  Bins view() const;

  HistogramCalibratorOptions options_;
  int64_t batches_ = 0;
  Histogram histogram_;
  ToolkitHistogram toolkit_;
};

/// One of both; which one is the descriptor's calib_method.
using Calibrator = std::variant<MaxCalibrator, HistogramCalibrator>;

}  // namespace octet
