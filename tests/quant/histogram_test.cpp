#include "quant/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>
#include <map>
#include <random>

namespace octet {
namespace {

constexpr float k_inf = std::numeric_limits<float>::infinity();
constexpr float k_nan = std::numeric_limits<float>::quiet_NaN();

Histogram histogram_of(const std::vector<float>& values, int bins = Histogram::k_bins) {
  Histogram h(bins);
  h.collect(values);
  return h;
}

/// The definition, element by element in double: bin index -> count, for one side.
std::map<int64_t, uint64_t> counted_plainly(const std::vector<float>& values, Side side, int bins) {
  double magnitude = 0;
  for (const float x : values) magnitude = std::max(magnitude, std::abs(static_cast<double>(x)));
  double range = 0;
  if (magnitude > 0) range = std::exp2(std::ceil(std::log2(magnitude)));
  std::map<int64_t, uint64_t> counts;
  for (const float x : values) {
    if (side == Side::positive ? x < 0 : side == Side::negative && x >= 0) continue;
    const double position = std::abs(static_cast<double>(x)) / (range / bins);
    ++counts[std::max<int64_t>(static_cast<int64_t>(std::ceil(position)) - 1, 0)];
  }
  return counts;
}

void expect_plain_counts(const std::vector<float>& values) {
  const Histogram h = histogram_of(values);
  for (const Side side : {Side::magnitude, Side::positive, Side::negative}) {
    for (const int bins : {8192, 4096, 64}) {
      const Bins view = h.view(side, bins);
      std::map<int64_t, uint64_t> counts;
      for (size_t i = 0; i < view.counts.size(); ++i) {
        if (view.counts[i]) counts[static_cast<int64_t>(i)] = view.counts[i];
      }
      EXPECT_EQ(counts, counted_plainly(values, side, bins)) << "bins " << bins;
    }
  }
}

std::vector<float> heavy_tailed(size_t n, float scale, unsigned seed) {
  std::mt19937 random(seed);
  std::student_t_distribution<float> t(2.0f);
  std::vector<float> values(n);
  for (float& x : values) x = random() % 10 == 0 ? 0.0f : scale * t(random);
  return values;
}

TEST(Histogram, counts_the_small_example_of_the_specification) {  // calibrators, case 2
  const Histogram h = histogram_of({.1f, .2f, .9f, 1.1f, 1.9f, 2.5f, 3.2f, 3.9f, 4.2f, 5.5f, 6.1f, 7.7f, 8}, 8);
  EXPECT_EQ(h.range(), 8);
  EXPECT_EQ(h.view(Side::magnitude, 8).counts, (std::vector<uint64_t>{3, 2, 1, 2, 1, 1, 1, 2}));
}

TEST(Histogram, closes_bins_above_and_opens_them_below) {
  const Histogram h = histogram_of({1, 2, 3, 4, std::nextafter(1.0f, 2.0f)}, 4);
  EXPECT_EQ(h.view(Side::magnitude, 4).counts, (std::vector<uint64_t>{1, 2, 1, 1}));
}

TEST(Histogram, grows_exactly_in_the_example_of_the_specification) {  // calibrators, case 3
  Histogram h;
  h.collect(std::vector<float>{0, 255, 255, 255, 255, 255});
  h.collect(std::vector<float>{0, 255, 255, 255, 255, 256});
  const Bins bins = h.view(Side::magnitude, 4096);
  EXPECT_EQ(h.range(), 256);
  EXPECT_EQ(bins.width, 0.0625);
  EXPECT_EQ(bins.counts[0], 2u);
  EXPECT_EQ(bins.counts[4079], 9u);
  EXPECT_EQ(bins.counts[4095], 1u);
  EXPECT_EQ(bins.total, 12u);
}

TEST(Histogram, keeps_its_memory_when_a_tiny_batch_is_followed_by_a_large_one) {  // D41
  Histogram h;
  h.collect(std::vector<float>{1e-3f});
  h.collect(std::vector<float>{100});
  const Bins bins = h.view(Side::magnitude, 4096);
  EXPECT_EQ(h.range(), 128);
  EXPECT_EQ(bins.counts.size(), 3200u);  // ceil(100 / (128/4096))
  EXPECT_EQ(bins.counts.front(), 1u);
  EXPECT_EQ(bins.counts.back(), 1u);
  EXPECT_EQ(bins.total, 2u);
}

TEST(Histogram, takes_a_first_batch_of_zeros) {  // D2
  Histogram h(4);
  h.collect(std::vector<float>(10, 0.0f));
  EXPECT_EQ(h.range(), 0);
  EXPECT_TRUE(h.view(Side::magnitude, 4).counts.empty());
  h.collect(std::vector<float>{1, 1, 1});
  EXPECT_EQ(h.view(Side::magnitude, 4).counts, (std::vector<uint64_t>{10, 0, 0, 3}));
  EXPECT_EQ(h.view(Side::magnitude, 4, /*with_zeros=*/false).counts, (std::vector<uint64_t>{0, 0, 0, 3}));
}

TEST(Histogram, ignores_an_empty_batch_and_counts_values_below_the_first_minimum) {  // D3, D2b
  Histogram h;
  h.collect({});
  EXPECT_EQ(h.count(), 0u);
  EXPECT_EQ(h.max(), 0.0f);
  h.collect(std::vector<float>{5, 6});
  h.collect(std::vector<float>(1000, 1.0f));
  EXPECT_EQ(h.view(Side::magnitude, 4096).total, 1002u);
}

TEST(Histogram, counts_beyond_two_to_the_24) {  // D4: f32 counters stop there
  Histogram h(8);
  const std::vector<float> ones(1 << 20, 1.0f);
  for (int i = 0; i < 16; ++i) h.collect(ones);
  h.collect(std::vector<float>(10, 1.0f));
  EXPECT_EQ(h.view(Side::magnitude, 8).counts.back(), 16777226u);
}

TEST(Histogram, counts_what_is_not_finite_apart_and_still_grows_in_that_batch) {  // D5
  Histogram h(16);
  h.collect(std::vector<float>{1, 2});
  h.collect(std::vector<float>{1, k_nan, 9, -k_nan, k_inf, -k_inf, -3});
  EXPECT_EQ(h.non_finite(), 4u);
  EXPECT_EQ(h.count(), 5u);
  EXPECT_EQ(h.max(), 9.0f);
  EXPECT_EQ(h.min(), -3.0f);
  EXPECT_EQ(h.range(), 16);
  h.collect(std::vector<float>{k_nan, k_nan});
  EXPECT_EQ(h.non_finite(), 6u);
}

TEST(Histogram, agrees_with_the_definition_at_every_magnitude) {
  for (const float scale : {1e-44f, 1e-38f, 1e-30f, 1e-6f, 1.0f, 1e3f, 1e30f, 1e36f}) {
    expect_plain_counts(heavy_tailed(3001, scale, 7));
  }
  expect_plain_counts({FLT_MAX, -FLT_MAX, FLT_MIN, FLT_TRUE_MIN, -FLT_TRUE_MIN, 0.0f, -0.0f, 1.0f});
  expect_plain_counts({FLT_TRUE_MIN, 0.0f});
  expect_plain_counts({-1.0f, -0.25f});
}

TEST(Histogram, sorts_edges_of_bins_as_the_definition_says) {
  std::vector<float> values{1.0f};
  for (int i = 1; i <= 8192; i += 13) {
    const float edge = static_cast<float>(i) / 8192.0f;
    values.insert(values.end(), {edge, std::nextafter(edge, 0.0f), -std::nextafter(edge, 0.0f)});
    if (i < 8192) values.push_back(std::nextafter(edge, 1.0f));
  }
  expect_plain_counts(values);
}

TEST(Histogram, does_not_depend_on_order_or_cuts_or_merging) {
  std::mt19937 random(3);
  for (int round = 0; round < 20; ++round) {
    std::vector<float> values =
        heavy_tailed(3000, std::exp2(static_cast<float>(round) - 10), static_cast<unsigned>(round));
    const Histogram whole = histogram_of(values);
    std::shuffle(values.begin(), values.end(), random);
    Histogram in_pieces, first, second;
    for (size_t at = 0; at < values.size();) {
      const size_t n = std::min<size_t>(1 + random() % 1500, values.size() - at);
      const std::span<const float> piece(values.data() + at, n);
      in_pieces.collect(piece);
      (random() % 2 ? first : second).collect(piece);
      at += n;
    }
    EXPECT_EQ(in_pieces, whole);
    first.merge(second);
    EXPECT_EQ(first, whole);
  }
}

TEST(Histogram, merges_with_an_empty_one_and_one_of_zeros) {
  const Histogram data = histogram_of({-1, 2, 0});
  Histogram empty;
  empty.merge(data);
  EXPECT_EQ(empty, data);
  Histogram zeros = histogram_of({0, 0});
  zeros.merge(data);
  EXPECT_EQ(zeros, histogram_of({-1, 2, 0, 0, 0}));
  Histogram again = data;
  again.merge(Histogram());
  EXPECT_EQ(again, data);
}

TEST(Histogram, is_new_after_reset) {
  Histogram h = histogram_of({1, 5, k_inf}, 4);
  h.reset();
  EXPECT_EQ(h, Histogram(4));
}

}  // namespace
}  // namespace octet
