// mse: the range with the smallest expected squared error after quantization and clipping (D30: upper edges, maximum).
//
// Bin centres stand for the elements. In half bins (y = 2k+1 for bin k) a code q of step s covers y in
// ((q-1/2)s, (q+1/2)s], the outermost codes everything beyond. With prefix sums S0, S1, S2 of c, c*y, c*y^2 one code
// costs S2 - 2(qs)S1 + (qs)^2 S0 over its bins, so a candidate costs as many steps as there are codes, not bins. The
// sums are exact integers in double for 3e7 elements and more, and good to 1e-5 of the answer beyond.
//
// One side (signed by magnitude with codes 0..127, unsigned with 0..255): every edge is tried from the largest
// downwards until the clipping error alone exceeds the best price; it only grows from there on. Zero point and both
// signs: scale = (hi-lo)/255, zero_point = round(-lo/scale), codes 0..255; the edges of both ends are tried on a coarse
// grid of 33 x 33, then around the best at ever finer steps down to single bins. The price is smooth along both axes up
// to a ripple of the cell borders, which is far below what the choice is worth; the full range is always tried.
#include <algorithm>
#include <cmath>
#include <limits>

#include "quant/choose.h"

namespace octet {
namespace {

/// Elements at the positions y of an ascending arithmetic row: y(k) = first + 2k, in half bins.
struct Row {
  double first = 1;
  std::vector<double> s0{0}, s1{0}, s2{0};  // over the first k elements

  void push(double y, uint64_t count) {
    const auto c = static_cast<double>(count);
    s0.push_back(s0.back() + c);
    s1.push_back(s1.back() + c * y);
    s2.push_back(s2.back() + c * y * y);
  }
  size_t size() const { return s0.size() - 1; }
  /// How many bins lie at or below y.
  size_t count_below(double y) const {
    if (y < first) return 0;
    const double k = (y - first) * 0.5;  // >= 0: truncation is the floor
    return k >= static_cast<double>(size()) ? size() : static_cast<size_t>(k) + 1;
  }
  /// Sum of c (y - value)^2 over bins [begin, end).
  double error(size_t begin, size_t end, double value) const {
    const double c = s0[end] - s0[begin];
    if (c == 0) return 0;
    return (s2[end] - s2[begin]) - 2 * value * (s1[end] - s1[begin]) + value * value * c;
  }
};

/// Codes first..last of step s, zero at code 0; stops early once the price passes the limit.
double price(const Row& row, double step, int first, int last, double limit) {
  size_t begin = 0;
  double sum = 0;
  for (int q = first; q <= last && begin < row.size() && sum <= limit; ++q) {
    const size_t end = q == last ? row.size() : row.count_below((q + 0.5) * step);
    if (end > begin) sum += row.error(begin, end, q * step);
    begin = std::max(begin, end);
  }
  return sum;
}

Row one_sided(const Bins& bins) {
  Row row;
  for (size_t k = 0; k < bins.counts.size(); ++k) row.push(static_cast<double>(2 * k + 1), bins.counts[k]);
  return row;
}

Row two_sided(const Bins& negative, const Bins& positive) {
  Row row;
  row.first = -(2.0 * static_cast<double>(negative.counts.size()) - 1);
  double y = row.first;
  for (size_t k = negative.counts.size(); k-- > 0; y += 2) row.push(y, negative.counts[k]);
  for (size_t k = 0; k < positive.counts.size(); ++k, y += 2) row.push(y, positive.counts[k]);
  return row;
}

/// A pair of ends, in bins away from zero.
struct Ends {
  int64_t below = 0, above = 0;
};

class AffineSearch {
 public:
  AffineSearch(const Bins& negative, const Bins& positive)
      : negative_(negative), positive_(positive), row_(two_sided(negative, positive)) {
    full_ = {static_cast<int64_t>(negative.counts.size()), static_cast<int64_t>(positive.counts.size())};
    try_ends(full_);
  }

  Ends search() {
    Ends step{std::max<int64_t>(full_.below / 32, 1), std::max<int64_t>(full_.above / 32, 1)};
    for (int64_t i = 0; i <= full_.below; i += step.below) {
      for (int64_t j = 0; j <= full_.above; j += step.above) try_ends({i, j});
    }
    while (step.below > 1 || step.above > 1) {
      const Ends old = step, middle = best_;
      step = {std::max<int64_t>(old.below / 4, 1), std::max<int64_t>(old.above / 4, 1)};
      for (int64_t i = middle.below - old.below; i <= middle.below + old.below; i += step.below) {
        for (int64_t j = middle.above - old.above; j <= middle.above + old.above; j += step.above) try_ends({i, j});
      }
    }
    return best_;
  }

 private:
  /// The end in half bins; the outermost edge is the true extreme.
  static double half_bins(const Bins& side, int64_t bins) {
    return side.counts.empty() ? 0.0 : 2 * side.edge(static_cast<size_t>(bins)) / side.width;
  }

  void try_ends(Ends ends) {
    if (ends.below < 0 || ends.above < 0 || ends.below > full_.below || ends.above > full_.above) return;
    const double below = half_bins(negative_, ends.below), above = half_bins(positive_, ends.above);
    if (below + above == 0) return;
    constexpr int k_last = k_unsigned_levels - 1;
    const double step = (below + above) / k_last;
    const int zero = static_cast<int>(std::nearbyint(below / step));
    const double sum = price(row_, step, -zero, k_last - zero, best_price_);
    if (sum < best_price_) {
      best_price_ = sum;
      best_ = ends;
    }
  }

  const Bins& negative_;
  const Bins& positive_;
  Row row_;
  Ends full_, best_;
  double best_price_ = std::numeric_limits<double>::infinity();
};

}  // namespace

double mse_threshold(const Bins& bins, int levels, int start) {
  const size_t n = bins.counts.size();
  if (n == 0) return 0;
  const Row row = one_sided(bins);
  const int last = levels - 1;
  size_t best = n;
  double best_price = price(row, 2 * bins.max / bins.width / last, 0, last, std::numeric_limits<double>::infinity());
  for (size_t i = n; i-- > static_cast<size_t>(start) + 1;) {
    const auto amax = static_cast<double>(2 * i);
    if (row.error(i, n, amax) > best_price) break;  // clipping alone costs more
    const double sum = price(row, amax / last, 0, last, best_price);
    if (sum <= best_price) {  // the smallest range on a tie
      best_price = sum;
      best = i;
    }
  }
  return bins.edge(best);
}

ChosenRange choose_mse(const Histogram& histogram, const ChooseOptions&) {
  const int bins = histogram.bins();
  const int signed_bins = std::min(bins, k_signed_levels * k_bins_per_level);
  ChosenRange range;
  const Bins magnitude = histogram.view(Side::magnitude, signed_bins);
  range.amax = static_cast<float>(mse_threshold(magnitude, k_signed_levels, k_signed_levels));
  if (histogram.min() >= 0) {
    const Bins positive = histogram.view(Side::positive, bins);
    range.hi = static_cast<float>(mse_threshold(positive, k_unsigned_levels, k_unsigned_levels));
    return range;
  }
  const Bins negative = histogram.view(Side::negative, bins);
  const Bins positive = histogram.view(Side::positive, bins, /*with_zeros=*/false);  // zero is a code: no error
  const Ends ends = AffineSearch(negative, positive).search();
  range.lo = ends.below ? static_cast<float>(-negative.edge(static_cast<size_t>(ends.below))) : 0.0f;
  range.hi = ends.above ? static_cast<float>(positive.edge(static_cast<size_t>(ends.above))) : 0.0f;
  return range;
}

}  // namespace octet
