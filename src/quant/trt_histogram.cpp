#include "quant/trt_histogram.h"

#include <algorithm>
#include <cmath>

#include "quant/choose.h"

namespace octet {
namespace {

constexpr size_t k_bins = 2048;
// Values that outgrow the first batch append bins; beyond this many, neighbours are added pairwise, so that a first
// batch of near-zeros cannot take all memory (it did in the original).
constexpr size_t k_most_bins = size_t{1} << 17;

}  // namespace

void TrtHistogram::collect(std::span<const float> values) {
  for (const float v : values) max_ = std::max(max_, std::abs(v));
  count_ += values.size();
  if (!open_) return put(values);
  first_.reserve(first_.size() + values.size());
  for (const float v : values) first_.push_back(std::abs(v));
}

void TrtHistogram::end_batch() {
  if (!open_ || max_ == 0) return;  // nothing but zeros: wait for the batch that says something
  open_ = false;
  width_ = static_cast<double>(max_) / k_bins;
  counts_.assign(k_bins, 0);
  put(first_);
  first_ = {};
}

void TrtHistogram::put(std::span<const float> values) {
  for (const float v : values) {
    const double magnitude = std::abs(static_cast<double>(v));
    while (magnitude / width_ >= static_cast<double>(k_most_bins)) halve();
    auto bin = static_cast<size_t>(magnitude / width_);
    if (bin == k_bins && counts_.size() == k_bins && magnitude <= static_cast<double>(k_bins) * width_) --bin;
    if (bin >= counts_.size()) counts_.resize(bin + 1, 0);
    ++counts_[bin];
  }
}

void TrtHistogram::halve() {
  const size_t half = (counts_.size() + 1) / 2;
  for (size_t i = 0; i < half; ++i) counts_[i] = counts_[2 * i] + (2 * i + 1 < counts_.size() ? counts_[2 * i + 1] : 0);
  counts_.resize(half);
  counts_.resize(std::max(half, k_bins), 0);
  width_ *= 2;
}

double TrtHistogram::entropy_threshold() const {
  if (counts_.empty()) return max_;
  Bins bins;
  bins.counts = counts_;
  bins.width = width_;
  bins.max = static_cast<double>(counts_.size()) * width_;
  for (const uint64_t c : counts_) bins.total += c;
  const std::vector<double> curve = entropy_curve(bins, k_signed_levels, k_signed_levels);
  if (curve.empty()) return max_;
  size_t best = curve.size() - 1;
  for (size_t i = curve.size() - 1; i-- > 0;) {
    // Clipped mass on an empty last bin: P > 0 where Q = 0. octet's own rule (choose_entropy.cpp) counts half an
    // element there; the published one has an infinite divergence.
    if (counts_[i + k_signed_levels - 1] == 0) continue;
    if (curve[i] < curve[best] - 1e-12) best = i;
  }
  return (static_cast<double>(best + k_signed_levels) + 0.5) * width_;
}

double TrtHistogram::quantile_threshold(double quantile) const {
  const double wanted = quantile * static_cast<double>(count_);
  uint64_t seen = 0;
  for (size_t i = 0; i < counts_.size(); ++i) {
    seen += counts_[i];
    if (static_cast<double>(seen) >= wanted) return std::min(static_cast<double>(i + 1) * width_, double{max_});
  }
  return max_;
}

}  // namespace octet
