#pragma once
// The toolkit's two histograms and its searches over them, defects included: what ref_compat runs. octet's own rules
// are histogram.h and choose.h; the two disagree by design, and docs/toolkit_behaviour.md says where and why.
//
//   torch   range [0, max of the first batch], f32 counts and edges, position by an f32 formula
//   numpy   range [min, max of the first batch], int64 counts, position by the edges
//
// Both grow by adding bins of the first batch's width.

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "quant/num_bits.h"

namespace octet {

/// Beyond this many bins ref_compat gives up; the toolkit goes on until memory ends (D41).
inline constexpr int64_t k_toolkit_most_bins = int64_t{1} << 24;

struct ToolkitHistogram {
  bool torch_hist = true;
  int64_t num_bins = 2048;  // grows in torch mode, and stays grown (D25)
  bool skip_zeros = false;
  bool open = true;            // no batch yet
  std::vector<double> counts;  // whole numbers; f32 in torch mode, so they stop at 2^24 (D4)
  std::vector<double> edges;   // f32 in torch mode and until the first growth in numpy mode

  /// One batch. Errors: empty (D3), not finite where the toolkit throws, growth from width 0 (D2), too many bins (D41).
  Result<Done> collect(std::span<const float> batch);
  void reset();  // num_bins stays as grown

 private:
  Result<Done> collect_torch(std::vector<float> x);
  Result<Done> collect_numpy(std::vector<float> x);
  Result<Done> grow_torch(float most);
  Result<Done> grow_numpy(float most);
  bool width_is_double_ = false;
};

/// |w| of one channel over [0, max|w|] by NumPy's rule, as calibrate_weights does; all zeros: [-0.5, 0.5].
ToolkitHistogram toolkit_weight_histogram(std::span<const float> weights, int64_t num_bins);

struct ToolkitSearch {
  NumBits num_bits;
  bool is_unsigned = false;
  int64_t stride = 1, start_bin = 128;
};
struct ToolkitChoice {
  float amax = 0;
  std::vector<double> curve;  // the price of start_bin, start_bin + stride, ...
};

/// Kullback-Leibler search by definition, in double. In numpy mode bin 0 of the histogram is overwritten (D27).
Result<ToolkitChoice> toolkit_entropy(ToolkitHistogram& histogram, const ToolkitSearch& search);
/// Mean squared error of the bin centres; the mean is f32 of a double sum (the toolkit's order of summing is torch's).
Result<ToolkitChoice> toolkit_mse(const ToolkitHistogram& histogram, const ToolkitSearch& search);
/// Lower edge of the bin where the running sum reaches percentile / 100 (D32).
Result<float> toolkit_percentile(const ToolkitHistogram& histogram, double percentile);

}  // namespace octet
