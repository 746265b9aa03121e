// percentile: never more than (100 - p) % of the elements are clipped, and p = 100 is the maximum exactly (D32).
//
//   t = ceil(p * N / 100) in integers, p in units of 1e-6
//   i = smallest with h[0] + .. + h[i] >= t;  threshold = min((i+1)*w, max)
//
// With a zero point and elements on both sides, each tail may hold half of what may be clipped, (100 - p)/2 % of all
// elements; a side whose tail holds all its elements ends at 0. Sides are counted outwards from zero.
#include <algorithm>
#include <cmath>

#include "quant/choose.h"

namespace octet {
namespace {

constexpr int64_t k_whole = 100'000'000;  // 100 % in units of 1e-6 %

int64_t in_millionths(double percentile) { return std::clamp<int64_t>(std::llround(percentile * 1e6), 0, k_whole); }

/// ceil(part / whole * n), exact.
uint64_t rounded_up_share(int64_t part, int64_t whole, uint64_t n) {
  __extension__ using Wide = unsigned __int128;
  const auto w = static_cast<Wide>(whole);
  return static_cast<uint64_t>((static_cast<Wide>(part) * n + (w - 1)) / w);
}

/// Smallest upper edge with at least `wanted` elements at or below it, `before` of them below this side's first bin.
double upper_edge(const Bins& bins, uint64_t wanted, uint64_t before) {
  uint64_t seen = before;
  for (size_t i = 0; i < bins.counts.size(); ++i) {
    seen += bins.counts[i];
    if (seen >= wanted) return bins.edge(i + 1);
  }
  return bins.max;
}

/// One side of a range with a zero point: others = elements on the other side of zero.
double tail_edge(const Bins& side, uint64_t wanted, uint64_t others) {
  return others >= wanted ? 0.0 : upper_edge(side, wanted, others);
}

}  // namespace

double percentile_threshold(const Bins& bins, double percentile) {
  if (bins.counts.empty()) return 0;
  return upper_edge(bins, rounded_up_share(in_millionths(percentile), k_whole, bins.total), 0);
}

ChosenRange choose_percentile(const Histogram& histogram, const ChooseOptions& options) {
  const int bins = histogram.bins();
  const int signed_bins = std::min(bins, k_signed_levels * k_bins_per_level);
  ChosenRange range;
  range.amax =
      static_cast<float>(percentile_threshold(histogram.view(Side::magnitude, signed_bins), options.percentile));
  const Bins positive = histogram.view(Side::positive, bins);
  if (histogram.min() >= 0) {
    range.hi = static_cast<float>(percentile_threshold(positive, options.percentile));
    return range;
  }
  const Bins negative = histogram.view(Side::negative, bins);
  // ceil((p + 100)/200 * N) elements have to lie at or inside each end.
  const uint64_t n = histogram.count();
  const uint64_t wanted = rounded_up_share(in_millionths(options.percentile) + k_whole, 2 * k_whole, n);
  const uint64_t above = positive.total - (positive.counts.empty() ? 0 : histogram.zeros());
  const uint64_t below = negative.total;
  range.hi = static_cast<float>(tail_edge(positive, wanted, below));
  // Zeros sit in bin 0 of the positive side; seen from below they and the positive elements are "others".
  range.lo = static_cast<float>(-tail_edge(negative, wanted, above + histogram.zeros()));
  if (range.lo == 0) range.lo = 0.0f;  // not -0
  return range;
}

}  // namespace octet
