#include "quant/choose.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace octet {
namespace {

Histogram histogram_of(const std::vector<float>& values, int bins = Histogram::k_bins) {
  Histogram h(bins);
  h.collect(values);
  return h;
}

Bins bins_of(std::vector<uint64_t> counts, double width = 1) {
  Bins bins;
  bins.width = width;
  bins.max = static_cast<double>(counts.size()) * width;
  for (const uint64_t c : counts) bins.total += c;
  bins.counts = std::move(counts);
  return bins;
}

std::vector<float> integers(int from, int to) {
  std::vector<float> values;
  for (int i = from; i <= to; ++i) values.push_back(static_cast<float>(i));
  return values;
}

// The small example of docs/toolkit_behaviour.md, calibrators, case 2: 8 bins over [0, 8].
const std::vector<uint64_t> k_small{3, 2, 1, 2, 1, 1, 1, 2};

TEST(Percentile, gives_the_upper_edge_that_holds_the_share) {  // calibrators, case 2, octet's
  const std::vector<double> expected{1, 2, 4, 6, 8, 8};
  const std::vector<double> percentiles{0, 25, 50, 75, 90, 100};
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(percentile_threshold(bins_of(k_small), percentiles[i]), expected[i]) << percentiles[i];
  }
}

TEST(Percentile, of_100_is_the_maximum_and_never_clips_more_than_it_may) {  // D32, case 4
  const Histogram h = histogram_of(integers(0, 99));
  const std::vector<float> expected{49, 89, 98, 99, 99};
  const std::vector<double> percentiles{50, 90, 99, 99.99, 100};
  for (size_t i = 0; i < expected.size(); ++i) {
    const ChosenRange r = choose_percentile(h, {percentiles[i]});
    EXPECT_EQ(r, (ChosenRange{expected[i], 0, expected[i]})) << percentiles[i];
  }
}

TEST(Percentile, leaves_half_of_the_outliers_in_each_tail) {
  // 201 integers: p = 90 may clip floor(10% of 201 / 2) = 10 on each side.
  const ChosenRange r = choose_percentile(histogram_of(integers(-100, 100)), {90});
  EXPECT_EQ(r.lo, -90);
  EXPECT_EQ(r.hi, 90);
  // By magnitude: 181 of 201 elements are wanted, |x| <= 90 are 181.
  EXPECT_EQ(r.amax, 90);
}

TEST(Percentile, ends_a_side_at_zero_when_all_of_it_may_be_clipped) {
  std::vector<float> values(999, 1.0f);
  values.push_back(-1000.0f);
  const ChosenRange r = choose_percentile(histogram_of(values), {99});
  EXPECT_EQ(r.lo, 0);
  EXPECT_FALSE(std::signbit(r.lo));
  EXPECT_EQ(choose_percentile(histogram_of(values), {100}), (ChosenRange{1000, -1000, 1}));
}

TEST(Max, spans_what_was_seen_and_always_zero) {
  EXPECT_EQ(choose_max(histogram_of({-3, 2}), {}), (ChosenRange{3, -3, 2}));
  EXPECT_EQ(choose_max(histogram_of({1, 2}), {}), (ChosenRange{2, 0, 2}));
  EXPECT_EQ(choose_max(histogram_of({-3, -2}), {}), (ChosenRange{3, -3, 0}));
}

TEST(Choose, gives_zeros_for_no_data_and_for_nothing_but_zeros) {
  for (const CalibrationMethod method : k_calibration_methods) {
    EXPECT_EQ(choose(method, Histogram()), ChosenRange{}) << name(method);
    EXPECT_EQ(choose(method, histogram_of({0, -0.0f, 0})), ChosenRange{}) << name(method);
  }
}

TEST(Choose, gives_the_constant_for_a_constant_tensor) {
  for (const CalibrationMethod method : k_calibration_methods) {
    EXPECT_EQ(choose(method, histogram_of(std::vector<float>(50, 0.7f))), (ChosenRange{0.7f, 0, 0.7f})) << name(method);
    EXPECT_EQ(choose(method, histogram_of(std::vector<float>(50, -0.7f))), (ChosenRange{0.7f, -0.7f, 0}))
        << name(method);
  }
}

TEST(Choose, commutes_with_powers_of_two) {
  std::mt19937 random(12);
  std::student_t_distribution<float> tails(3);
  for (const char* kind : {"both sides", "never negative", "lopsided"}) {
    std::vector<float> values(4000);
    for (float& x : values) {
      x = tails(random);
      if (*kind == 'n') x = std::abs(x);
      if (*kind == 'l') x = std::max(x, -0.1f);
    }
    const Histogram one = histogram_of(values);
    for (const int exponent : {-110, -3, 1, 90}) {
      std::vector<float> scaled;
      for (const float x : values) scaled.push_back(std::ldexp(x, exponent));
      const Histogram other = histogram_of(scaled);
      for (const CalibrationMethod method : k_calibration_methods) {
        const bool is_percentile = method == CalibrationMethod::percentile;
        for (const double p : is_percentile ? std::vector<double>{99, 99.9, 99.999} : std::vector<double>{99.99}) {
          const ChosenRange a = choose(method, one, {p}), b = choose(method, other, {p});
          const ChosenRange wanted = {std::ldexp(a.amax, exponent), std::ldexp(a.lo, exponent),
                                      std::ldexp(a.hi, exponent)};
          EXPECT_EQ(b, wanted) << kind << " " << name(method) << " " << p << " 2^" << exponent;
        }
      }
    }
  }
}

TEST(Choose, stays_within_what_was_seen) {
  std::mt19937 random(11);
  std::normal_distribution<float> normal(0.5f, 1.0f);
  std::vector<float> values(5000);
  for (float& x : values) x = normal(random);
  const Histogram h = histogram_of(values);
  for (const CalibrationMethod method : k_calibration_methods) {
    const ChosenRange r = choose(method, h);
    EXPECT_LE(r.amax, std::max(h.max(), -h.min())) << name(method);
    EXPECT_GE(r.lo, h.min()) << name(method);
    EXPECT_LE(r.hi, h.max()) << name(method);
    EXPECT_LT(r.lo, 0) << name(method);
    EXPECT_GT(r.hi, 0) << name(method);
  }
}

// ---- entropy

/// Divergence of candidate i, straight from its definition, with octet's half element; no prefix sums.
double direct_divergence(std::vector<uint64_t> h, size_t kept, size_t levels) {
  if (h.size() > 1) h[0] = h[1];
  double clipped = 0;
  for (size_t k = kept; k < h.size(); ++k) clipped += static_cast<double>(h[k]);
  std::vector<double> p(h.begin(), h.begin() + static_cast<std::ptrdiff_t>(kept)), q(kept, 0.0);
  p[kept - 1] += clipped;
  for (size_t l = 0; l < levels; ++l) {
    double sum = 0, used = 0;
    for (size_t k = 0; k < kept; ++k) {
      if (k * levels / kept != l || h[k] == 0) continue;
      sum += static_cast<double>(h[k]);
      used += 1;
    }
    for (size_t k = 0; k < kept; ++k) {
      if (k * levels / kept == l && h[k] != 0) q[k] = sum / used;
    }
  }
  double p_sum = 0, q_sum = 0;
  for (const double x : q) q_sum += x;
  double before_last = 0;
  for (size_t k = 0; k + 1 < kept; ++k) before_last += static_cast<double>(h[k]);
  if (q_sum == 0 || (clipped > 0 && before_last == 0)) return std::numeric_limits<double>::infinity();
  if (clipped > 0 && h[kept - 1] == 0) {
    q[kept - 1] = 0.5;
    q_sum += 0.5;
  }
  for (const double x : p) p_sum += x;
  double divergence = 0;
  for (size_t k = 0; k < kept; ++k) {
    if (p[k] > 0) divergence += p[k] / p_sum * std::log(p[k] / p_sum / (q[k] / q_sum));
  }
  return divergence;
}

TEST(Entropy, prices_the_small_example_as_the_toolkit_does) {  // golden record hist_small8, case 2
  const std::vector<double> four{0.191781897556, 0.265134022073, 0.188574300988, 0.106489768439, 0.028316506133};
  const std::vector<double> eight{0.191781897556, 0.265134022073, 0.174416047922, 0.092331515373, 0};
  const std::vector<double> two{0.242585971694, 0.510825623766, 0.325807680811, 0.162342289387,
                                0.140331086035, 0.112462562691, 0.042679097697};
  const auto expect = [](int levels, int start, const std::vector<double>& expected) {
    const std::vector<double> curve = entropy_curve(bins_of(k_small), levels, start);
    ASSERT_EQ(curve.size(), expected.size());
    for (size_t i = 0; i < curve.size(); ++i) EXPECT_NEAR(curve[i], expected[i], 1e-12) << levels << " levels, " << i;
    EXPECT_EQ(entropy_threshold(bins_of(k_small), levels, start), 8);
  };
  expect(4, 4, four);
  expect(8, 4, eight);
  expect(2, 2, two);
}

TEST(Entropy, closed_form_equals_the_direct_one) {
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    std::vector<uint64_t> counts(16 + random() % 80);
    for (uint64_t& c : counts) c = random() % 3 == 0 ? 0 : random() % (1u << (random() % 12));
    counts.back() = 1 + random() % 5;
    const int levels = static_cast<int>(1 + random() % 16);
    const int start = static_cast<int>(1 + random() % 16);
    const std::vector<double> curve = entropy_curve(bins_of(counts), levels, start);
    for (size_t i = 0; i < curve.size(); ++i) {
      const double direct = direct_divergence(counts, i + static_cast<size_t>(start), static_cast<size_t>(levels));
      if (std::isinf(direct)) {
        EXPECT_TRUE(std::isinf(curve[i]));
      } else {
        EXPECT_NEAR(curve[i], direct, 1e-11 * (1 + std::abs(direct))) << "round " << round << " candidate " << i;
      }
    }
  }
}

TEST(Entropy, takes_the_largest_of_equal_candidates) {
  // As many levels as bins, nothing clipped: free. One mass in one level: free at every cut.
  EXPECT_EQ(entropy_threshold(bins_of({1, 1, 1, 1}), 4, 4), 4);
  EXPECT_EQ(entropy_threshold(bins_of({5, 5}), 1, 1), 2);
}

TEST(Entropy, cuts_outliers_behind_empty_bins) {  // D42
  std::vector<float> values;
  std::mt19937 random(1);  // a regular grid would show no noise to the search: keeping everything would be free
  for (int i = 0; i < 10000; ++i) values.push_back(static_cast<float>(random() >> 8) * 0x1p-24f);
  values.insert(values.end(), {14.9f, 15.0f, 15.05f});
  const ChosenRange r = choose_entropy(histogram_of(values), {});
  EXPECT_GE(r.hi, 0.99f);  // the 3 outliers are cut; how close to 1 depends on the sample
  EXPECT_LT(r.hi, 1.1f);
  EXPECT_EQ(r.lo, 0);
}

TEST(Entropy, does_not_clip_a_tensor_that_stays_away_from_zero) {
  std::vector<float> values;
  for (int i = 0; i < 1000; ++i) values.push_back(1.0f + 0.1f * static_cast<float>(i) / 999.0f);
  const ChosenRange r = choose_entropy(histogram_of(values), {});
  EXPECT_GT(r.amax, 1.09f);
  EXPECT_GT(r.hi, 1.09f);
}

TEST(Entropy, does_not_depend_on_zeros) {
  std::mt19937 random(2);
  std::exponential_distribution<float> exponential(1.0f);
  std::vector<float> values(4000);
  for (float& x : values) x = exponential(random);
  const ChosenRange without = choose_entropy(histogram_of(values), {});
  values.resize(9000, 0.0f);
  EXPECT_EQ(choose_entropy(histogram_of(values), {}), without);
}

TEST(Entropy, keeps_the_short_negative_side_of_silu) {
  std::mt19937 random(4);
  std::normal_distribution<float> normal(0.0f, 2.0f);
  std::vector<float> values(20000);
  for (float& x : values) {
    const float v = normal(random);
    x = v / (1.0f + std::exp(-v));
  }
  const ChosenRange r = choose_entropy(histogram_of(values), {});
  EXPECT_LT(r.lo, -0.2f);
  EXPECT_GT(r.hi, 2.0f);
}

// ---- mse

double direct_error(const Bins& bins, double amax, int levels) {
  const double step = amax / (levels - 1);
  double sum = 0;
  for (size_t k = 0; k < bins.counts.size(); ++k) {
    const double x = (static_cast<double>(k) + 0.5) * bins.width;
    const double code = std::min(std::nearbyint(x / step), static_cast<double>(levels - 1));
    sum += static_cast<double>(bins.counts[k]) * (x - code * step) * (x - code * step);
  }
  return sum;
}

// Candidates that a lower bound rules out are not priced; the answer is that of pricing all of them.
TEST(Entropy, skips_only_candidates_that_cannot_win) {
  std::mt19937 random(11);
  for (int trial = 0; trial < 60; ++trial) {
    std::vector<uint64_t> counts(300 + random() % 900);
    for (size_t k = 0; k < counts.size(); ++k) {
      const double x = static_cast<double>(k) / static_cast<double>(counts.size());
      const double height = trial % 3 == 0 ? std::exp(-9 * x) : trial % 3 == 1 ? std::exp(-30 * x * x) : x < 0.2;
      counts[k] = static_cast<uint64_t>(height * static_cast<double>(random() % 5000)) * (random() % 7 != 0);
    }
    counts.back() = 1 + random() % 50;
    const int levels = trial % 2 ? 128 : 100, stride = 1 + trial % 4;
    const Bins bins = bins_of(counts);
    const std::vector<double> curve = entropy_curve(bins, levels, 128, stride);
    size_t best = curve.size() - 1;
    for (size_t i = curve.size(); i-- > 0;)
      if (curve[i] < curve[best] - 1e-12) best = i;
    EXPECT_EQ(entropy_threshold(bins, levels, 128, stride),
              static_cast<double>(128 + best * static_cast<size_t>(stride)))
        << trial;
  }
}

TEST(Mse, finds_the_smallest_error_of_all_edges) {
  std::mt19937 random(9);
  for (int round = 0; round < 100; ++round) {
    std::vector<uint64_t> counts(40 + random() % 100);
    for (size_t i = 0; i < counts.size(); ++i) counts[i] = random() % (1 + 4000 / (1 + i * i));
    counts.back() = 1;
    Bins bins = bins_of(counts, 0.25);
    bins.max -= 0.1;  // the true maximum lies inside the last bin
    const int levels = static_cast<int>(4 + random() % 12);
    double best = direct_error(bins, bins.max, levels);
    for (size_t i = static_cast<size_t>(levels) + 1; i < counts.size(); ++i) {
      best = std::min(best, direct_error(bins, bins.edge(i), levels));
    }
    const double chosen = mse_threshold(bins, levels, levels);
    EXPECT_LE(direct_error(bins, chosen, levels), best * (1 + 1e-9)) << "round " << round;
  }
}

TEST(Mse, can_choose_the_maximum) {  // D30
  EXPECT_EQ(choose_mse(histogram_of(integers(0, 99)), {}).hi, 99);
}

TEST(Mse, clips_a_lone_outlier) {
  std::vector<float> values;
  for (int i = 0; i < 100000; ++i) values.push_back(static_cast<float>(i % 1000) / 1000.0f);
  values.push_back(4.0f);
  const ChosenRange r = choose_mse(histogram_of(values), {});
  EXPECT_LT(r.amax, 3.9f);
  EXPECT_GT(r.amax, 0.99f);
}

double affine_error(const std::vector<float>& values, double lo, double hi) {
  const double step = (hi - lo) / 255, zero = std::nearbyint(-lo / step);
  double sum = 0;
  for (const float x : values) {
    const double code = std::min(std::max(std::nearbyint(x / step) + zero, 0.0), 255.0);
    sum += (x - (code - zero) * step) * (x - (code - zero) * step);
  }
  return sum;
}

TEST(Mse, with_a_zero_point_is_close_to_the_best_of_all_pairs) {
  // Few bins, so that all pairs of edges can be tried; values are bin centres, so bins and values have the same error.
  std::mt19937 random(21);
  for (int round = 0; round < 5; ++round) {
    std::normal_distribution<double> normal(0.0, 1.0);
    std::vector<float> values;
    const double scale = 60.0 + 60.0 * round;
    for (int i = 0; i < 3000; ++i) {
      const double v = normal(random);
      const double skewed = v < 0 ? v * 0.2 : v * v;  // a short side and a heavy tail
      values.push_back(static_cast<float>((std::floor(std::clamp(skewed * scale, -511.0, 511.0)) + 0.5) / 512.0));
    }
    values.push_back(511.5f / 512.0f);
    const Histogram h = histogram_of(values, 512);
    const Bins negative = h.view(Side::negative, 512), positive = h.view(Side::positive, 512);
    double best = std::numeric_limits<double>::infinity();
    for (size_t i = 0; i <= negative.counts.size(); i += 2) {
      for (size_t j = 8; j <= positive.counts.size(); j += 8) {
        best = std::min(best, affine_error(values, -negative.edge(i), positive.edge(j)));
      }
    }
    const ChosenRange r = choose_mse(h, {});
    EXPECT_LE(affine_error(values, r.lo, r.hi), best * 1.05) << "round " << round;
  }
}

}  // namespace
}  // namespace octet
