#pragma once
// Ranges by TensorRT's own rules, as far as they are public, for the calibrator interface. octet's own collector
// (histogram.h) and choices (choose.h) are better and are what `octet calibrate` uses; these are here so that a ported
// calibrator means what it meant.
//
// The histogram of |x| has 2048 bins over [0, largest |x| of the first batch]; a larger value later appends bins of the
// same width. So it depends on how the data is cut into batches, as TensorRT's does. Bin i: [i*w, (i+1)*w), the very
// largest value of the first batch in bin 2047.
//
//   Entropy, Entropy2   h[0] := h[1]; for i = 128 .. n bins kept: P = h[0..i) with all that is clipped added to its
//   last
//                       bin, Q = h[0..i) in 128 levels, each spread evenly over its non-empty bins; the i with the
//                       least KL(P || Q), the larger on a tie; threshold (i + 0.5) * w
//   MinMax              the largest |x|
//   Legacy              the quantile: smallest (i + 1) * w with at least quantile of the elements below it, never above
//                       the largest |x|. Only regression cutoff 1 (no regression): the regression is not public.
//
// Source: S. Migacz, "8-bit inference with TensorRT", GTC 2017; measured on caches (scale * 127 * 2048 = 2048.5).

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace octet {

class TrtHistogram {
 public:
  /// One batch's elements; they must be finite.
  void collect(std::span<const float> values);
  /// To be called between batches: the first batch alone fixes the width.
  void end_batch();

  float max() const { return max_; }
  uint64_t count() const { return count_; }
  double width() const { return width_; }
  const std::vector<uint64_t>& counts() const { return counts_; }

  double entropy_threshold() const;
  double quantile_threshold(double quantile) const;

  /// Everything but an open first batch, little-endian: f32 max, f64 width, u64 count, u64 bins, u64 each bin.
  std::string to_bytes() const;
  /// Takes one from the front. Nothing: cut short, more bins than there can be, numbers that no batch leaves.
  static std::optional<TrtHistogram> take(std::string_view& bytes);
  bool operator==(const TrtHistogram&) const = default;

 private:
  void put(std::span<const float> values);
  void halve();

  std::vector<float> first_;  // magnitudes of the first batch, until its end
  bool open_ = true;
  float max_ = 0;
  double width_ = 0;
  uint64_t count_ = 0;
  std::vector<uint64_t> counts_;
};

/// What a legacy calibrator's histogram cache holds.
struct TrtHistogramCache {
  std::string model_hash;
  int64_t samples = 0;
  std::map<std::string, TrtHistogram> histograms;  // by tensor
};
/// "octet histograms 1\n", hash and u64 samples, then name and histogram for each tensor; texts with a u64 length in
/// front.
std::string to_bytes(const TrtHistogramCache& cache);
/// Errors: another first line, cut short, damaged.
Result<TrtHistogramCache> parse_trt_histograms(std::string_view bytes);

}  // namespace octet
