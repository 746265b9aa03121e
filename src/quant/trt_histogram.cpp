#include "quant/trt_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "quant/choose.h"

static_assert(std::endian::native == std::endian::little, "the histogram cache is written as it lies in memory");

namespace octet {
namespace {

constexpr size_t k_bins = 2048;
// Values that outgrow the first batch append bins; beyond this many, neighbours are added pairwise, so that a first
// batch of near-zeros cannot take all memory (it did in the original).
constexpr size_t k_most_bins = size_t{1} << 17;

constexpr std::string_view k_cache_line = "octet histograms 1\n";

template <class T>
void add(std::string& bytes, T value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

template <class T>
bool take_number(std::string_view& bytes, T& value) {
  if (bytes.size() < sizeof value) return false;
  std::memcpy(&value, bytes.data(), sizeof value);
  bytes.remove_prefix(sizeof value);
  return true;
}

void add_text(std::string& bytes, std::string_view text) {
  add(bytes, uint64_t{text.size()});
  bytes.append(text);
}

bool take_text(std::string_view& bytes, std::string& text) {
  uint64_t size = 0;
  if (!take_number(bytes, size) || size > bytes.size()) return false;
  text = bytes.substr(0, size);
  bytes.remove_prefix(size);
  return true;
}

}  // namespace

void TrtHistogram::collect(std::span<const float> values) {
  for (const float v : values) max_ = std::max(max_, std::abs(v));
  count_ += values.size();
  if (!open_) return put(values);
  first_.reserve(first_.size() + values.size());
  for (const float v : values) first_.push_back(std::abs(v));
}

void TrtHistogram::end_batch() {
  if (!open_) return;
  if (max_ == 0) {  // nothing but zeros: wait for the batch that says something, without keeping them
    first_.clear();
    return;
  }
  open_ = false;
  width_ = static_cast<double>(max_) / k_bins;
  counts_.assign(k_bins, 0);
  counts_[0] = count_ - first_.size();  // zeros of earlier batches
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

std::string TrtHistogram::to_bytes() const {
  std::string bytes;
  add(bytes, max_);
  add(bytes, width_);
  add(bytes, count_);
  add(bytes, uint64_t{counts_.size()});
  for (const uint64_t c : counts_) add(bytes, c);
  return bytes;
}

std::optional<TrtHistogram> TrtHistogram::take(std::string_view& bytes) {
  TrtHistogram h;
  uint64_t bins = 0, total = 0;
  if (!take_number(bytes, h.max_) || !take_number(bytes, h.width_) || !take_number(bytes, h.count_) ||
      !take_number(bytes, bins) || bins > k_most_bins || bytes.size() / sizeof(uint64_t) < bins)
    return std::nullopt;
  h.counts_.resize(bins);
  for (uint64_t& c : h.counts_) {
    take_number(bytes, c);
    if (c > h.count_ - total) return std::nullopt;
    total += c;
  }
  h.open_ = bins == 0;  // nothing but zeros were seen
  const bool holds = h.open_ ? h.max_ == 0 && h.width_ == 0
                             : std::isfinite(h.max_) && h.max_ > 0 && std::isfinite(h.width_) && h.width_ > 0 &&
                                   bins >= k_bins && double{h.max_} <= h.width_ * static_cast<double>(bins + 1);
  return holds ? std::optional(std::move(h)) : std::nullopt;
}

std::string to_bytes(const TrtHistogramCache& cache) {
  std::string bytes(k_cache_line);
  add_text(bytes, cache.model_hash);
  add(bytes, static_cast<uint64_t>(cache.samples));
  for (const auto& [name, histogram] : cache.histograms) {
    add_text(bytes, name);
    bytes += histogram.to_bytes();
  }
  return bytes;
}

Result<TrtHistogramCache> parse_trt_histograms(std::string_view bytes) {
  const auto broken = [](const char* what) {
    return Error{ErrorCode::bad_argument, std::string("the histogram cache ") + what};
  };
  if (!bytes.starts_with(k_cache_line)) return broken("is not one that octet wrote ('octet histograms 1')");
  bytes.remove_prefix(k_cache_line.size());
  TrtHistogramCache cache;
  uint64_t samples = 0;
  if (!take_text(bytes, cache.model_hash) || !take_number(bytes, samples) || samples >> 62) return broken("is damaged");
  cache.samples = static_cast<int64_t>(samples);
  while (!bytes.empty()) {
    std::string name;
    if (!take_text(bytes, name)) return broken("is cut short");
    std::optional<TrtHistogram> histogram = TrtHistogram::take(bytes);
    if (!histogram) return broken("is damaged or cut short");
    cache.histograms.insert_or_assign(std::move(name), *std::move(histogram));
  }
  return cache;
}

}  // namespace octet
