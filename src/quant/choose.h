#pragma once
// From a histogram to a range: one function per calibration method, listed in methods.def.
//
// Each gives amax for signed codes (128 levels of magnitude, 4096 bins) and [lo, hi] for unsigned codes with a zero
// point (256 levels, 8192 bins). A tensor that was never negative has lo = 0, and hi follows the unsigned rule. No
// data, or nothing but zeros: all three are 0. docs/toolkit_behaviour.md has the toolkit's rules beside these.

#include "quant/histogram.h"
#include "quant/ranges.h"

namespace octet {

struct ChooseOptions {
  double percentile = 99.99;  // in [0, 100], counted in units of 1e-6
};

ChosenRange choose(CalibrationMethod method, const Histogram& histogram, const ChooseOptions& options = {});

ChosenRange choose_max(const Histogram& histogram, const ChooseOptions& options);
ChosenRange choose_entropy(const Histogram& histogram, const ChooseOptions& options);
ChosenRange choose_percentile(const Histogram& histogram, const ChooseOptions& options);
ChosenRange choose_mse(const Histogram& histogram, const ChooseOptions& options);

inline constexpr int k_signed_levels = 128;
inline constexpr int k_unsigned_levels = 256;
inline constexpr int k_bins_per_level = 32;  // D28: fewer leave the search nothing to choose

// The rules on one row of bins; each returns a threshold <= bins.max in the tensor's unit, 0 without bins.

/// Smallest upper edge with at least percentile % of the elements at or below it.
double percentile_threshold(const Bins& bins, double percentile);
/// Kullback-Leibler search; candidates keep start, start+stride, ... bins. Fewer bins than start: the maximum.
double entropy_threshold(const Bins& bins, int levels, int start, int stride = 1);
/// Smallest expected squared error with codes 0..levels-1; candidates keep start+1, start+2, ... bins, and the maximum.
double mse_threshold(const Bins& bins, int levels, int start);

/// The prices that entropy_threshold compares: D(i) for i = start, start+stride .. n; infinite where no distribution is
/// kept.
std::vector<double> entropy_curve(const Bins& bins, int levels, int start, int stride = 1);

}  // namespace octet
