// entropy: the threshold whose clipped and quantized distribution diverges least from the clipped one
// (S. Migacz, "8-bit inference with TensorRT", GTC 2017; docs/toolkit_behaviour.md has the toolkit's form).
//
// h[0..n-1]: counts, h[0] := h[1] (so zeros do not rule). Candidate i keeps i bins; c = h[i] + .. + h[n-1] is clipped
// into bin i-1; level l of L covers bins ceil(l*i/L) .. ceil((l+1)*i/L)-1, S and C are the level's mass and number of
// non-empty bins. With prefix sums H of h, Z of (h != 0), X of h ln h, Q = H[i], t = h[i-1] + c, z the level of bin
// i-1:
//
//   D(i) = ( X[i-1] + t ln t - sum over S>0 of S ln(S/C) - c ln(S_z/C_z) )/N + ln(Q/N)           closed form (D45)
//
// or, where c > 0 meets an empty last bin, h[i-1] = 0, that bin counts as half an element (D42):
//
//   D(i) = ( X[i-1] + c ln c - sum over S>0 of S ln(S/C) - c ln(1/2) )/N + ln((Q + 1/2)/N)
//
// Smallest D, the largest i on a tie; sums in double are good to about 1e-14, so prices closer than 1e-12 are a tie.
// A candidate that clips and keeps elements in its last bin only, or none (a tensor that stays away from zero), would
// be free: everything in one bin, before and after. It is out.
//
// Unsigned codes: the rule with L = 256 on the positive side. With a zero point and negative elements each side is
// searched alone, with as many of the 256 levels as its share of [min, max], since that is what the codes will give it.
#include <algorithm>
#include <cmath>
#include <limits>

#include "quant/choose.h"

namespace octet {
namespace {

constexpr double k_tie = 1e-12;
constexpr double k_bound_slack = 1e-9;  // far above the rounding of a bound

/// Prefix sums over h with h[0] := h[1]; entry i covers bins 0 .. i-1.
struct Prefix {
  std::vector<uint64_t> h, mass, used;
  std::vector<double> h_ln_h;
  std::vector<double> ln_count;  // ln k: how many bins a level can have

  explicit Prefix(const Bins& bins) : h(bins.counts) {
    const size_t n = h.size();
    if (n > 1) h[0] = h[1];
    mass.resize(n + 1);
    used.resize(n + 1);
    h_ln_h.resize(n + 1);
    ln_count.resize(n + 1);
    for (size_t i = 0; i < n; ++i) {
      const auto x = static_cast<double>(h[i]);
      mass[i + 1] = mass[i] + h[i];
      used[i + 1] = used[i] + (h[i] != 0);
      h_ln_h[i + 1] = h_ln_h[i] + (h[i] ? x * std::log(x) : 0.0);
      ln_count[i + 1] = std::log(static_cast<double>(i + 1));
    }
  }
};

/// Sum of S ln(S/C) over the levels that hold elements; last: ln(S/C) of the last level.
double level_term(const Prefix& p, size_t kept, size_t levels, double& last) {
  double sum = 0;
  size_t begin = 0, end = 0, excess = 0;  // end = ceil((l+1) * kept / levels), excess = end * levels - (l+1) * kept
  const size_t whole = kept / levels, part = kept % levels;
  for (size_t l = 0; l < levels; ++l) {
    end += whole;
    if (part > excess) {
      ++end;
      excess += levels - part;
    } else {
      excess -= part;
    }
    if (const uint64_t mass = p.mass[end] - p.mass[begin]) {
      const auto s = static_cast<double>(mass);
      last = std::log(s) - p.ln_count[p.used[end] - p.used[begin]];
      sum += s * last;
    }
    begin = end;
  }
  return sum;
}

double divergence(const Prefix& p, size_t kept, size_t levels) {
  const auto n = static_cast<double>(p.mass.back());
  const auto q = static_cast<double>(p.mass[kept]);
  const double clipped = n - q;
  if (q == 0 || (clipped > 0 && p.mass[kept - 1] == 0)) return std::numeric_limits<double>::infinity();
  const auto in_last = static_cast<double>(p.h[kept - 1]);
  double last = 0;
  const double levelled = level_term(p, kept, levels, last);
  if (clipped > 0 && in_last == 0) {
    return (p.h_ln_h[kept - 1] + clipped * std::log(clipped) - levelled - clipped * std::log(0.5)) / n +
           std::log((q + 0.5) / n);
  }
  const double t = in_last + clipped;
  const double t_ln_t = t > 0 ? t * std::log(t) : 0.0;
  return (p.h_ln_h[kept - 1] + t_ln_t - levelled - (clipped > 0 ? clipped * last : 0.0)) / n + std::log(q / n);
}

/// Never above divergence(p, kept, levels), up to rounding, at next to no cost: merging outcomes cannot raise a
/// divergence (data-processing inequality), so the two outcomes "in the last level" and "below it" bound it from below.
double bound(const Prefix& p, size_t kept, size_t levels) {
  const auto n = static_cast<double>(p.mass.back());
  const auto q = static_cast<double>(p.mass[kept]);
  if (q == 0 || n == q) return 0;
  const size_t last_level = ((levels - 1) * kept + levels - 1) / levels;
  const auto below = static_cast<double>(p.mass[last_level]);
  const double in_p = (n - below) / n, in_q = (q - below + 0.5) / (q + 0.5);  // with the half element of D42
  const double rest = below > 0 ? below / n * std::log((below / n) / (below / (q + 0.5))) : 0.0;
  return in_p * std::log(in_p / in_q) + rest;
}

}  // namespace

std::vector<double> entropy_curve(const Bins& bins, int levels, int start, int stride) {
  const Prefix prefix(bins);
  std::vector<double> curve;
  for (size_t i = static_cast<size_t>(std::max(start, 1)); i <= bins.counts.size(); i += static_cast<size_t>(stride)) {
    curve.push_back(divergence(prefix, i, static_cast<size_t>(levels)));
  }
  return curve;
}

double entropy_threshold(const Bins& bins, int levels, int start, int stride) {
  const auto first = static_cast<size_t>(std::max(start, 1)), step = static_cast<size_t>(stride);
  if (bins.counts.size() < first) return bins.max;
  const Prefix prefix(bins);
  const auto all_levels = static_cast<size_t>(levels);
  size_t best = first + (bins.counts.size() - first) / step * step;
  double least = divergence(prefix, best, all_levels);
  for (size_t i = best; i >= first + step;) {
    i -= step;
    if (bound(prefix, i, all_levels) > least + k_bound_slack) continue;  // cannot win
    const double price = divergence(prefix, i, all_levels);
    if (price < least - k_tie) {
      best = i;
      least = price;
    }
  }
  return bins.edge(best);
}

ChosenRange choose_entropy(const Histogram& histogram, const ChooseOptions&) {
  const int bins = histogram.bins();
  const int signed_bins = std::min(bins, k_signed_levels * k_bins_per_level);
  ChosenRange range;
  const Bins magnitude = histogram.view(Side::magnitude, signed_bins);
  range.amax = static_cast<float>(entropy_threshold(magnitude, k_signed_levels, k_signed_levels));
  const Bins positive = histogram.view(Side::positive, bins);
  if (histogram.min() >= 0) {
    range.hi = static_cast<float>(entropy_threshold(positive, k_unsigned_levels, k_unsigned_levels));
    return range;
  }
  const Bins negative = histogram.view(Side::negative, bins);
  const double share = positive.max / (positive.max + negative.max);
  const int levels = std::clamp(static_cast<int>(std::lround(share * k_unsigned_levels)), 1, k_unsigned_levels - 1);
  const int below = k_unsigned_levels - levels;
  range.hi = static_cast<float>(entropy_threshold(positive, levels, levels));
  range.lo = static_cast<float>(-entropy_threshold(negative, below, below));
  return range;
}

}  // namespace octet
