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
#include <span>
#include <string>
#include <vector>

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

}  // namespace octet
