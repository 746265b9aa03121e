#include "report/performance.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

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

PerformanceReport queries_of(const std::vector<float>& ms) {
  PerformanceReport report;
  for (const float v : ms) report.queries.push_back({0, 0, v, 0});
  return report;
}

TEST(SpeedUp, interval_holds_the_true_ratio_and_is_narrow_for_steady_times) {
  std::vector<float> slow, fast;
  for (int i = 0; i < 200; ++i) {
    slow.push_back(3.0f + 0.01f * static_cast<float>(i % 7));
    fast.push_back(1.5f + 0.005f * static_cast<float>(i % 5));
  }
  const SpeedUp s = speed_up(queries_of(slow), queries_of(fast));
  EXPECT_NEAR(s.ratio, 2.0, 0.02);
  EXPECT_LE(s.low, s.ratio);
  EXPECT_GE(s.high, s.ratio);
  EXPECT_LT(s.high - s.low, 0.05);
  EXPECT_TRUE(s.is_shown());
}

TEST(SpeedUp, equal_times_show_no_difference) {
  std::vector<float> a, b;
  for (int i = 0; i < 200; ++i) {
    a.push_back(1.0f + 0.01f * static_cast<float>(i * 7 % 11));
    b.push_back(1.0f + 0.01f * static_cast<float>(i * 5 % 11));
  }
  const SpeedUp s = speed_up(queries_of(a), queries_of(b));
  EXPECT_FALSE(s.is_shown());
  EXPECT_NE(speedup_text(queries_of(a), queries_of(b)).find("no difference shown"), std::string::npos);
}

TEST(SpeedUp, a_disturbance_that_hits_both_does_not_widen_it) {
  // Both are ten times slower for a while; every block's ratio stays 2.
  std::vector<float> slow(200, 2.0f), fast(200, 1.0f);
  for (size_t i = 60; i < 100; ++i) {
    slow[i] = 20;
    fast[i] = 10;
  }
  const SpeedUp s = speed_up(queries_of(slow), queries_of(fast));
  EXPECT_NEAR(s.low, 2.0, 1e-6);
  EXPECT_NEAR(s.high, 2.0, 1e-6);
}

TEST(SpeedUp, few_queries_give_no_interval) {
  const SpeedUp s = speed_up(queries_of(std::vector<float>(20, 2.0f)), queries_of(std::vector<float>(20, 1.0f)));
  EXPECT_FALSE(s.is_shown());
  EXPECT_NE(paired_json(queries_of(std::vector<float>(20, 2.0f)), queries_of(std::vector<float>(20, 1.0f)))
                .find("\"speedup_ci95\": null"),
            std::string::npos);
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
