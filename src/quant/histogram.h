#pragma once
// Magnitudes of one tensor, counted in fixed memory; the result does not depend on batches, order or threads.
//
// Bins are open below and closed above: a magnitude a lies in bin i when i*w < a <= (i+1)*w, so i = max(ceil(a/w)-1,
// 0). The range T is the smallest power of two >= the largest magnitude seen, the width w = T / bins is a power of two
// too, so every quotient and every edge is exact. When a larger magnitude arrives, bins 2j and 2j+1 are added into bin
// j and T doubles: the same counts as if T had been known at first. Positive and negative elements have bins of their
// own over the same T. How the toolkit counts: docs/toolkit_behaviour.md, Calibrators and choice rules.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace octet {

/// Which elements a search looks at: all by magnitude, or one side of zero.
enum class Side { magnitude, positive, negative };

/// What a search reads. Bin i holds the magnitudes in (i*width, (i+1)*width]; the last used bin ends at max.
struct Bins {
  std::vector<uint64_t> counts;  // n = ceil(max / width) used bins; empty when no element of this side is non-zero
  double width = 0;
  double max = 0;      // the largest magnitude itself, in its unit
  uint64_t total = 0;  // sum of counts

  /// Upper edge of the first i bins: i*width, never above max.
  double edge(size_t i) const { return i >= counts.size() ? max : static_cast<double>(i) * width; }
};

/// Bin indices of the elements of a row that are not zero, and its two ends as order keys: the form of the kernels in
/// src/kernels/histogram, whose header has the contract.
using IndexRow = size_t (*)(const float* x, size_t n, float bins_per_unit, uint32_t negative_offset, uint32_t* index,
                            int32_t* ends);

class Histogram {
 public:
  /// 32 * 256: what the unsigned searches want; the signed ones read it merged to 32 * 128 bins.
  static constexpr int k_bins = 8192;

  /// bins: a power of two in [2, 65536].
  explicit Histogram(int bins = k_bins);

  /// Counts every element; NaN and infinities are counted apart and otherwise ignored. An empty row is a no-op.
  void collect(std::span<const float> values);
  /// The same counts, bit for bit, with a kernel's help.
  void collect(std::span<const float> values, IndexRow kernel);
  /// Exact: the same as collecting the other's elements here. Both have the same number of bins.
  void merge(const Histogram& other);
  /// As constructed.
  void reset();

  uint64_t count() const { return zeros_ + non_zeros_; }  // finite elements
  uint64_t zeros() const { return zeros_; }
  uint64_t non_finite() const { return non_finite_; }
  int bins() const { return bins_; }
  /// Smallest and largest finite element; 0 before any.
  float min() const { return count() ? min_ : 0.0f; }
  float max() const { return count() ? max_ : 0.0f; }
  /// T; 0 before the first non-zero element.
  double range() const;

  /// The bins of one side, pairwise merged to `bins` (a power of two, <= bins()). Zeros belong to bin 0 of magnitude
  /// and positive unless left out (the toolkit's skip_zeros); a side without non-zero elements has no bins.
  Bins view(Side side, int bins, bool with_zeros = true) const;

  /// Everything, for another process of the same build; from_bytes() refuses what to_bytes() does not write.
  std::string to_bytes() const;
  static std::optional<Histogram> from_bytes(std::string_view bytes);

  bool operator==(const Histogram&) const = default;

 private:
  void collect_block(const float* x, int n);
  void collect_block(const float* x, int n, IndexRow kernel);
  void collect_slowly(const float* x, int n);
  void add_finite(const float* x, int n, float magnitude);
  void count(const float* x, int32_t* index, int n);
  void grow_to(float magnitude);
  void set_exponent(int exponent);

  int bins_;
  bool open_ = true;  // no non-zero element yet: the range is not set
  int exponent_ = 0;  // T = 2^exponent_
  uint64_t zeros_ = 0, non_zeros_ = 0, non_finite_ = 0;
  float min_ = 0, max_ = 0;
  std::vector<uint64_t> counts_;  // bins_ positive, then bins_ negative magnitudes
};

}  // namespace octet
