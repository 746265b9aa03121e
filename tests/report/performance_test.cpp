#include "report/performance.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>

#include "report/text_table.h"

namespace octet {
namespace {

std::vector<float> one_to(int n) {
  std::vector<float> ms(static_cast<size_t>(n));
  std::iota(ms.begin(), ms.end(), 0.0f);
  return ms;
}

struct PercentileCase {
  int n;
  float percent;
  int index;
};

// The indices of spec trtexec 2.3, taken from trtexec's own float32 arithmetic: p99 of 100 samples is the maximum.
class Percentile : public testing::TestWithParam<PercentileCase> {};

TEST_P(Percentile, takes_the_sample_that_trtexec_takes) {
  const PercentileCase& c = GetParam();
  const LatencySummary s = summarize_latency(one_to(c.n), std::vector<float>{c.percent});
  EXPECT_EQ(s.percentiles[0], static_cast<float>(c.index));
}

INSTANTIATE_TEST_SUITE_P(
    Trtexec, Percentile,
    testing::Values(PercentileCase{100, 99, 99}, PercentileCase{100, 90, 89}, PercentileCase{100, 95, 94},
                    PercentileCase{10, 50, 4}, PercentileCase{10, 90, 8}, PercentileCase{10, 95, 9},
                    PercentileCase{10, 99, 9}, PercentileCase{20, 90, 17}, PercentileCase{20, 95, 18},
                    PercentileCase{50, 90, 44}, PercentileCase{50, 95, 47}, PercentileCase{200, 99, 198},
                    PercentileCase{1000, 99, 990}, PercentileCase{1000, 99.9f, 999}, PercentileCase{15574, 50, 7786},
                    PercentileCase{15574, 90, 14016}, PercentileCase{15574, 99, 15418}, PercentileCase{7, 100, 6},
                    PercentileCase{7, 0, 0}));

TEST(LatencySummary, median_of_an_even_count_is_the_mean_of_the_middle_two) {
  EXPECT_EQ(summarize_latency(std::vector<float>{4, 1, 3, 2}, {}).median, 2.5f);
  EXPECT_EQ(summarize_latency(std::vector<float>{9, 1, 3}, {}).median, 3.0f);
}

TEST(LatencySummary, of_nothing_is_zero_and_does_not_crash) {
  const LatencySummary s = summarize_latency({}, std::vector<float>{99});
  EXPECT_EQ(s.max, 0.0f);
  EXPECT_EQ(s.percentiles.size(), 1u);
}

PerformanceReport two_queries() {
  PerformanceReport report;
  report.queries = {{0, 0, 1.0f, 0}, {0, 0, 3.0f, 0}};
  report.walltime_s = 0.004;
  report.warmup_queries = 5;
  report.warmup_ms = 200;
  return report;
}

TEST(PerformanceReport, prints_the_lines_that_scripts_look_for) {
  const std::string text = to_text(two_queries(), false);
  EXPECT_NE(text.find("Warmup completed 5 queries over 200 ms\nTiming trace has 2 queries over 0.004 s\n"),
            std::string::npos);
  EXPECT_NE(text.find("=== Performance summary ===\nThroughput: 500 qps\nLatency: min = 1 ms, max = 3 ms, mean = 2 ms, "
                      "median = 2 ms, "
                      "percentile(90%) = 3 ms, percentile(95%) = 3 ms, percentile(99%) = 3 ms\n"),
            std::string::npos);
  EXPECT_NE(text.find("H2D Latency: min = 0 ms"), std::string::npos);
  EXPECT_NE(text.find("GPU Compute Time: min = 1 ms"), std::string::npos);
  EXPECT_NE(text.find("Total Host Walltime: 0.004 s\nTotal GPU Compute Time: 0.004 s\n"), std::string::npos);
}

TEST(PerformanceReport, warns_of_unstable_times) {
  EXPECT_NE(to_text(two_queries(), false).find("coefficient of variance = 50%"), std::string::npos);
}

TEST(TextTable, aligns_numbers_to_the_right_and_words_to_the_left) {
  EXPECT_EQ(text_table({{"name", "ms"}, {"a", "1.5"}, {"long", "10.25"}}), "name     ms\na       1.5\nlong  10.25\n");
}

TEST(ShortNumber, has_six_significant_digits_as_trtexec) {
  EXPECT_EQ(short_number(0.1921394), "0.192139");
  EXPECT_EQ(short_number(5190.48), "5190.48");
  EXPECT_EQ(short_number(3.0), "3");
}

/// As many fresh engines as rows, each with its queries.
PerformanceReport engines_of(const std::vector<std::vector<float>>& engines) {
  PerformanceReport report;
  for (const std::vector<float>& queries : engines) {
    report.engine_starts.push_back(report.queries.size());
    for (const float v : queries) report.queries.push_back({0, 0, v, 0});
  }
  return report;
}

/// One steady time for each engine.
PerformanceReport steady(const std::vector<float>& ms) {
  std::vector<std::vector<float>> engines;
  for (const float v : ms) engines.push_back({v, v, v});
  return engines_of(engines);
}

TEST(SpeedUp, interval_runs_from_the_second_to_the_last_but_one_of_nine_pairs) {
  const SpeedUp s =
      speed_up(steady({2.9f, 3.3f, 3.1f, 3.0f, 3.05f, 2.0f, 9.0f, 3.2f, 3.15f}), steady(std::vector<float>(9, 1.0f)));
  EXPECT_EQ(s.pairs, 9u);
  EXPECT_NEAR(s.ratio, 3.1, 1e-6);  // one engine that was disturbed moves neither the ratio nor the interval
  EXPECT_NEAR(s.low, 2.9, 1e-6);
  EXPECT_NEAR(s.high, 3.3, 1e-6);
  EXPECT_TRUE(s.is_shown());
}

/// The ranks of the sign test's table (two-sided, 5 %): 6 to 8 pairs the outermost, 9 to 11 one further in, 12 two.
TEST(SpeedUp, ranks_are_those_of_the_sign_test) {
  for (const auto& [pairs, rank] :
       {std::pair(6, 1), std::pair(8, 1), std::pair(9, 2), std::pair(11, 2), std::pair(12, 3), std::pair(20, 6)}) {
    std::vector<float> ms;
    for (int i = 1; i <= pairs; ++i) ms.push_back(static_cast<float>(i));
    const SpeedUp s = speed_up(steady(ms), steady(std::vector<float>(ms.size(), 1.0f)));
    EXPECT_EQ(s.low, rank) << pairs;
    EXPECT_EQ(s.high, pairs + 1 - rank) << pairs;
  }
}

/// The luck of an engine moves all of its queries: with the queries as if they were independent, an interval of equal
/// networks would leave out 1 nearly always.
TEST(SpeedUp, intervals_of_equal_networks_hold_one_as_often_as_they_say) {
  std::mt19937 random(7);
  std::normal_distribution<float> luck(0.0f, 0.02f), noise(0.0f, 0.002f);
  int holds = 0;
  constexpr int k_runs = 1000;
  for (int run = 0; run < k_runs; ++run) {
    const auto engines = [&] {
      std::vector<std::vector<float>> made(9);
      for (std::vector<float>& engine : made) {
        const float own = 1 + luck(random);
        for (int i = 0; i < 25; ++i) engine.push_back(own + noise(random));
      }
      return engines_of(made);
    };
    holds += !speed_up(engines(), engines()).is_shown();
  }
  EXPECT_NEAR(holds, 0.961 * k_runs, 20);  // three standard errors
}

TEST(SpeedUp, a_disturbance_that_hits_both_does_not_widen_it) {
  // Both are ten times slower for a while; the ratio of every pair stays 2.
  std::vector<float> slow(9, 2.0f), fast(9, 1.0f);
  for (size_t i = 3; i < 6; ++i) slow[i] = 20, fast[i] = 10;
  const SpeedUp s = speed_up(steady(slow), steady(fast));
  EXPECT_NEAR(s.low, 2.0, 1e-6);
  EXPECT_NEAR(s.high, 2.0, 1e-6);
}

TEST(SpeedUp, few_engines_give_no_interval) {
  const PerformanceReport slow = steady(std::vector<float>(5, 2.0f)), fast = steady(std::vector<float>(5, 1.0f));
  EXPECT_FALSE(speed_up(slow, fast).is_shown());
  EXPECT_EQ(speed_up(slow, fast).ratio, 2);
  EXPECT_NE(paired_json(slow, fast).find("\"speedup_ci95\": null"), std::string::npos);
  EXPECT_NE(speedup_text(slow, fast).find("too few engines for an interval"), std::string::npos);
}

TEST(OutputCheck, passes_within_the_tolerance_of_the_largest_value_and_never_on_nan) {
  OutputCheck check{"f.npy", 0.1, {{"y", 0.1, 1.0, 0.99}}};
  EXPECT_TRUE(check.passed());
  check.outputs[0].max_error = 0.11;
  EXPECT_FALSE(check.passed());
  check.outputs[0].max_error = std::nan("");
  EXPECT_FALSE(check.passed());
}

}  // namespace
}  // namespace octet
