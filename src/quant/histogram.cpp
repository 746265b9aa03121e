// The collector's hot path works on blocks that fit L1 in plain loops: smallest and largest element by integer order
// (vectorized), bin indices (vectorized: |x| / w is a multiplication by a power of two, exact in float), and counting.
// Zeros, half of every ReLU output, are squeezed out before counting: increments of one address wait for each other.
#include "quant/histogram.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstring>

namespace octet {
namespace {

constexpr int k_block = 1024;
constexpr int k_many_zeros =
    64;  // more than one in so many: squeezing them out is cheaper than counting and taking back

// Floats ordered as integers: the identity on positive bit patterns, magnitude bits flipped on negative ones.
constexpr int32_t order_key(int32_t bits) { return bits ^ ((bits >> 31) & 0x7fffffff); }
constexpr float from_order_key(int32_t key) { return std::bit_cast<float>(order_key(key)); }

// Where 1/w stays a normal float and |x|/w is exact for all but the elements that land in bin 0 anyway.
constexpr int k_fast_exponent_min = -100;

/// Smallest e with 2^e >= magnitude > 0.
int range_exponent(float magnitude) {
  int exponent = 0;
  const double fraction = std::frexp(static_cast<double>(magnitude), &exponent);  // in [0.5, 1)
  return fraction == 0.5 ? exponent - 1 : exponent;
}

}  // namespace

Histogram::Histogram(int bins) : bins_(bins), counts_(2 * static_cast<size_t>(bins)) {
  assert(bins >= 2 && bins <= 65536 && std::has_single_bit(static_cast<unsigned>(bins)) && "bins: a power of two");
}

double Histogram::range() const { return open_ ? 0.0 : std::ldexp(1.0, exponent_); }

void Histogram::reset() { *this = Histogram(bins_); }

void Histogram::collect(std::span<const float> values) {
  for (size_t at = 0; at < values.size(); at += k_block) {
    collect_block(values.data() + at, static_cast<int>(std::min<size_t>(k_block, values.size() - at)));
  }
}

void Histogram::collect(std::span<const float> values, IndexRow kernel) {
  for (size_t at = 0; at < values.size(); at += k_block) {
    collect_block(values.data() + at, static_cast<int>(std::min<size_t>(k_block, values.size() - at)), kernel);
  }
}

// One pass over the elements where the range is known already and holds them, which is all but the first few blocks.
void Histogram::collect_block(const float* x, int n, IndexRow kernel) {
  if (open_ || exponent_ < k_fast_exponent_min) return collect_block(x, n);
  const int shift = std::countr_zero(static_cast<unsigned>(bins_));
  const auto bins_per_unit = static_cast<float>(std::ldexp(1.0, shift - exponent_));
  uint32_t index[k_block + 16];
  int32_t ends[2];
  const size_t listed = kernel(x, static_cast<size_t>(n), bins_per_unit, static_cast<uint32_t>(bins_), index, ends);
  const float low = from_order_key(ends[0]), high = from_order_key(ends[1]);
  const float magnitude = std::max(std::abs(low), std::abs(high));
  if (!std::isfinite(low) || !std::isfinite(high) || double{magnitude} > range()) return collect_block(x, n);
  // min() and max() below know no -0, as in collect_block().
  min_ = count() ? std::min(min_, low) : low;
  max_ = count() ? std::max(max_, high) : high;
  uint64_t* counts = counts_.data();
  for (size_t i = 0; i < listed; ++i) ++counts[index[i]];
  zeros_ += static_cast<uint64_t>(n) - listed;
  non_zeros_ += listed;
}

void Histogram::collect_block(const float* x, int n) {
  int32_t smallest = order_key(std::bit_cast<int32_t>(x[0])), largest = smallest;
  for (int i = 0; i < n; ++i) {
    const int32_t key = order_key(std::bit_cast<int32_t>(x[i]));
    smallest = key < smallest ? key : smallest;
    largest = key > largest ? key : largest;
  }
  const float low = from_order_key(smallest), high = from_order_key(largest);
  // NaNs order beyond the infinities, so the two ends tell whether the block holds anything that is not finite.
  if (!std::isfinite(low) || !std::isfinite(high)) return collect_slowly(x, n);
  min_ = count() ? std::min(min_, low) : low;
  max_ = count() ? std::max(max_, high) : high;
  add_finite(x, n, std::max(std::abs(low), std::abs(high)));
}

void Histogram::collect_slowly(const float* x, int n) {
  float finite[k_block];
  int kept = 0;
  for (int i = 0; i < n; ++i) {
    if (std::isfinite(x[i])) {
      finite[kept++] = x[i];
    } else {
      ++non_finite_;
    }
  }
  if (kept) collect_block(finite, kept);
}

void Histogram::add_finite(const float* x, int n, float magnitude) {
  if (magnitude == 0.0f) {
    zeros_ += static_cast<uint64_t>(n);
    return;
  }
  grow_to(magnitude);
  const int shift = std::countr_zero(static_cast<unsigned>(bins_));
  int32_t index[k_block];
  if (exponent_ >= k_fast_exponent_min) {
    const auto bins_per_unit = static_cast<float>(std::ldexp(1.0, shift - exponent_));
    for (int i = 0; i < n; ++i) {
      const uint32_t bits = std::bit_cast<uint32_t>(x[i]);
      const float position = std::bit_cast<float>(bits & 0x7fffffffu) * bins_per_unit;
      int32_t bin = static_cast<int32_t>(position);
      bin -= static_cast<float>(bin) == position;  // ceil(position) - 1
      bin -= bin >> 31;                            // -1 (a zero, or one that underflowed) goes to bin 0
      index[i] = bin + static_cast<int32_t>((bits >> 31) << shift);
    }
  } else {
    for (int i = 0; i < n; ++i) {
      const double position = std::ldexp(std::abs(static_cast<double>(x[i])), shift - exponent_);
      index[i] = std::max(static_cast<int32_t>(std::ceil(position)) - 1, 0) + (std::signbit(x[i]) ? bins_ : 0);
    }
  }
  count(x, index, n);
}

void Histogram::count(const float* x, int32_t* index, int n) {
  int zeros = 0;
  for (int i = 0; i < n; ++i) zeros += x[i] == 0.0f;
  int listed = n;
  if (zeros > n / k_many_zeros) {
    listed = 0;
    for (int i = 0; i < n; ++i) {
      index[listed] = index[i];
      listed += x[i] != 0.0f;
    }
  }
  for (int i = 0; i < listed; ++i) ++counts_[static_cast<size_t>(index[i])];
  // Zeros have an index too, bin 0 of their sign bit's side; take out those that were counted.
  if (listed == n && zeros) {
    for (int i = 0; i < n; ++i) counts_[static_cast<size_t>(index[i])] -= x[i] == 0.0f;
  }
  zeros_ += static_cast<uint64_t>(zeros);
  non_zeros_ += static_cast<uint64_t>(n - zeros);
}

void Histogram::grow_to(float magnitude) {
  const int wanted = range_exponent(magnitude);
  if (open_) {
    open_ = false;
    exponent_ = wanted;
  } else if (wanted > exponent_) {
    set_exponent(wanted);
  }
}

void Histogram::set_exponent(int exponent) {
  const auto bins = static_cast<size_t>(bins_);
  for (; exponent_ < exponent; ++exponent_) {
    for (size_t side = 0; side < 2; ++side) {
      uint64_t* h = counts_.data() + side * bins;
      for (size_t j = 0; j < bins / 2; ++j) h[j] = h[2 * j] + h[2 * j + 1];
      std::fill(h + bins / 2, h + bins, uint64_t{0});
    }
  }
}

void Histogram::merge(const Histogram& other) {
  assert(bins_ == other.bins_ && "only histograms with equally many bins merge exactly");
  if (other.count()) {
    min_ = count() ? std::min(min_, other.min_) : other.min_;
    max_ = count() ? std::max(max_, other.max_) : other.max_;
  }
  zeros_ += other.zeros_;
  non_finite_ += other.non_finite_;
  non_zeros_ += other.non_zeros_;
  if (other.open_) return;
  if (open_) {
    open_ = false;
    exponent_ = other.exponent_;
  }
  Histogram grown = other;
  grown.set_exponent(exponent_);
  set_exponent(grown.exponent_);
  for (size_t i = 0; i < counts_.size(); ++i) counts_[i] += grown.counts_[i];
}

// Native byte order: bins, then the scalars, then both rows of counts.
std::string Histogram::to_bytes() const {
  std::string bytes;
  const auto add = [&bytes](const auto& x) { bytes.append(reinterpret_cast<const char*>(&x), sizeof x); };
  add(bins_);
  add(static_cast<int>(open_));
  add(exponent_);
  add(zeros_);
  add(non_zeros_);
  add(non_finite_);
  add(min_);
  add(max_);
  bytes.append(reinterpret_cast<const char*>(counts_.data()), counts_.size() * sizeof counts_[0]);
  return bytes;
}

std::optional<Histogram> Histogram::from_bytes(std::string_view bytes) {
  const auto take = [&bytes](auto& x) {
    if (bytes.size() < sizeof x) return false;
    std::memcpy(&x, bytes.data(), sizeof x);
    bytes.remove_prefix(sizeof x);
    return true;
  };
  int bins = 0, open = 0;
  if (!take(bins) || bins < 2 || bins > 65536 || !std::has_single_bit(static_cast<unsigned>(bins))) return std::nullopt;
  Histogram h(bins);
  if (!take(open) || !take(h.exponent_) || !take(h.zeros_) || !take(h.non_zeros_) || !take(h.non_finite_) ||
      !take(h.min_) || !take(h.max_) || bytes.size() != h.counts_.size() * sizeof h.counts_[0])
    return std::nullopt;
  h.open_ = open != 0;
  std::memcpy(h.counts_.data(), bytes.data(), bytes.size());
  return h;
}

Bins Histogram::view(Side side, int bins, bool with_zeros) const {
  assert(bins >= 1 && bins <= bins_ && std::has_single_bit(static_cast<unsigned>(bins)));
  Bins view;
  const double top = std::max(max(), 0.0f), bottom = std::max(-min(), 0.0f);
  view.max = side == Side::positive ? top : side == Side::negative ? bottom : std::max(top, bottom);
  if (view.max == 0) return view;
  view.width = std::ldexp(1.0, exponent_) / bins;
  const auto group = static_cast<size_t>(bins_ / bins);
  view.counts.resize(static_cast<size_t>(std::ceil(view.max / view.width)));
  const uint64_t* positive = counts_.data();
  const uint64_t* negative = positive + bins_;
  for (size_t i = 0; i < view.counts.size(); ++i) {
    for (size_t j = i * group; j < (i + 1) * group; ++j) {
      view.counts[i] += (side == Side::negative ? 0 : positive[j]) + (side == Side::positive ? 0 : negative[j]);
    }
  }
  if (with_zeros && side != Side::negative) view.counts[0] += zeros_;
  for (const uint64_t c : view.counts) view.total += c;
  return view;
}

}  // namespace octet
