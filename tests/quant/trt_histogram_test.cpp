// TensorRT's own rules against a direct reading of their definition, and against what real caches show.
#include "quant/trt_histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace octet {
namespace {

/// The published search, bin by bin: no prefix sums, no closed form.
double searched(std::vector<uint64_t> h, double width) {
  h[0] = h[1];
  double total = 0;
  for (const uint64_t c : h) total += static_cast<double>(c);
  size_t best = 0;
  double best_divergence = std::numeric_limits<double>::infinity();
  for (size_t kept = 128; kept <= h.size(); ++kept) {
    std::vector<double> p(h.begin(), h.begin() + static_cast<ptrdiff_t>(kept)), q(kept, 0.0);
    double inside = 0, mass[128] = {}, used[128] = {};
    for (size_t k = 0; k < kept; ++k) {
      inside += p[k];
      mass[k * 128 / kept] += p[k];
      used[k * 128 / kept] += h[k] != 0;
    }
    p[kept - 1] += total - inside;
    double divergence = 0;
    for (size_t k = 0; k < kept; ++k) {
      if (h[k]) q[k] = mass[k * 128 / kept] / used[k * 128 / kept];
      if (p[k] == 0) continue;
      divergence +=
          q[k] == 0 ? std::numeric_limits<double>::infinity() : p[k] / total * std::log(p[k] / total / (q[k] / inside));
    }
    if (divergence <= best_divergence + 1e-12) {
      best = kept;
      best_divergence = std::min(divergence, best_divergence);
    }
  }
  return (static_cast<double>(best) + 0.5) * width;
}

std::vector<float> normal(size_t n, uint32_t seed, float deviation = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, deviation);
  std::vector<float> x(n);
  for (float& v : x) v = normal(random);
  return x;
}

TEST(TrtHistogram, first_batch_fixes_the_width_and_later_ones_append_bins) {
  TrtHistogram h;
  h.collect(std::vector<float>{0.0f, -1.0f, 0.5f});
  h.end_batch();
  EXPECT_EQ(h.width(), 1.0 / 2048);
  EXPECT_EQ(h.counts().size(), 2048u);
  EXPECT_EQ(h.counts()[0], 1u);
  EXPECT_EQ(h.counts()[1024], 1u);
  EXPECT_EQ(h.counts()[2047], 1u);  // the largest itself
  h.collect(std::vector<float>{1.5f});
  h.end_batch();
  EXPECT_EQ(h.counts().size(), 3073u);
  EXPECT_EQ(h.counts()[3072], 1u);
  EXPECT_EQ(h.max(), 1.5f);
}

TEST(TrtHistogram, entropy_is_the_published_search) {
  for (uint32_t seed = 1; seed < 5; ++seed) {
    TrtHistogram h;
    h.collect(normal(20000, seed));
    h.end_batch();
    h.collect(normal(20000, seed + 100, 1.3f));
    h.end_batch();
    EXPECT_NEAR(h.entropy_threshold(), searched(h.counts(), h.width()), 1e-9) << seed;
  }
}

// Measured on real caches: tensors whose values fill their range have scale * 127 * 2048 / max = 2048.5 (3c010a14 for
// 1).
TEST(TrtHistogram, a_full_range_gives_a_threshold_half_a_bin_beyond_the_maximum) {
  std::vector<float> uniform(2048 * 8);
  for (size_t i = 0; i < uniform.size(); ++i)
    uniform[i] = static_cast<float>(i + 1) / static_cast<float>(uniform.size());
  TrtHistogram h;
  h.collect(uniform);
  h.end_batch();
  EXPECT_EQ(static_cast<float>(h.entropy_threshold() / 127), static_cast<float>(2048.5 / 2048 / 127));
}

TEST(TrtHistogram, quantile_never_passes_the_maximum) {
  TrtHistogram h;
  std::vector<float> x(1000);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i + 1);
  h.collect(x);
  h.end_batch();
  EXPECT_NEAR(h.quantile_threshold(0.9), 900, 1000.0 / 2048);
  EXPECT_EQ(h.quantile_threshold(1.0), 1000);
}

TEST(TrtHistogram, waits_for_the_first_batch_that_says_something_and_keeps_its_memory) {
  TrtHistogram h;
  h.collect(std::vector<float>(100, 0.0f));
  h.end_batch();
  EXPECT_EQ(h.entropy_threshold(), 0);
  h.collect(std::vector<float>{1e-30f});
  h.end_batch();
  h.collect(std::vector<float>{1e30f, 1.0f});
  h.end_batch();
  EXPECT_LE(h.counts().size(), size_t{1} << 17);
  uint64_t total = 0;
  for (const uint64_t c : h.counts()) total += c;
  EXPECT_EQ(total, 103u);
}

TEST(TrtHistogram, zeros_before_the_first_batch_that_says_something_are_counted_but_not_kept) {
  TrtHistogram h;
  for (int i = 0; i < 3; ++i) {
    h.collect(std::vector<float>(1000, 0.0f));
    h.end_batch();
  }
  EXPECT_LT(h.to_bytes().size(), 100u);
  h.collect(std::vector<float>{0.0f, 1.0f});
  h.end_batch();
  EXPECT_EQ(h.counts()[0], 3001u);
  EXPECT_EQ(h.count(), 3002u);
}

TEST(TrtHistogram, thresholds_commute_with_powers_of_two) {
  const std::vector<float> x = normal(5000, 3), more = normal(5000, 4, 1.5f);
  const auto thresholds = [&](int exponent) {
    TrtHistogram h;
    for (const auto& batch : {x, more}) {
      std::vector<float> scaled;
      for (const float v : batch) scaled.push_back(std::ldexp(v, exponent));
      h.collect(scaled);
      h.end_batch();
    }
    return std::vector<double>{h.entropy_threshold(), h.quantile_threshold(0.99), double{h.max()}};
  };
  const std::vector<double> one = thresholds(0);
  for (const int exponent : {-100, -7, 1, 30, 100}) {
    const std::vector<double> scaled = thresholds(exponent);
    for (size_t i = 0; i < one.size(); ++i) EXPECT_EQ(scaled[i], std::ldexp(one[i], exponent)) << exponent << " " << i;
  }
}

TrtHistogramCache small_cache() {
  TrtHistogramCache cache{"0123456789abcdef", 20, {}};
  TrtHistogram h;
  h.collect(normal(500, 9));
  h.end_batch();
  h.collect(normal(500, 10, 2));
  h.end_batch();
  cache.histograms = {{"conv: 1", h}, {"dead", TrtHistogram()}};
  return cache;
}

TEST(TrtHistogramCache, comes_back_as_it_was_written) {
  const TrtHistogramCache cache = small_cache();
  const Result<TrtHistogramCache> read = parse_trt_histograms(to_bytes(cache));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->model_hash, cache.model_hash);
  EXPECT_EQ(read->samples, 20);
  EXPECT_EQ(read->histograms, cache.histograms);
}

TEST(TrtHistogramCache, survives_damage) {
  const std::string bytes = to_bytes(small_cache());
  EXPECT_FALSE(parse_trt_histograms("TRT-8003-EntropyCalibration2\n"));
  const auto step = [](size_t n) { return n < 200 ? size_t{1} : size_t{97}; };
  for (size_t n = 0; n < bytes.size(); n += step(n)) {
    const Result<TrtHistogramCache> cut = parse_trt_histograms(std::string_view(bytes).substr(0, n));
    EXPECT_TRUE(!cut || cut->histograms.size() < 2) << n << ": cut between two tensors at most";
  }
  for (size_t n = 0; n < bytes.size(); n += step(n)) {
    for (const char c : {'\x00', '\x7f', '\xff'}) {
      std::string wrong = bytes;
      wrong[n] = c;
      const Result<TrtHistogramCache> read = parse_trt_histograms(wrong);
      if (!read) continue;
      for (const auto& [name, h] : read->histograms) EXPECT_TRUE(std::isfinite(h.quantile_threshold(0.99))) << n;
    }
  }
}

}  // namespace
}  // namespace octet
