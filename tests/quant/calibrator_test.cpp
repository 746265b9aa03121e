// Calibrators: the hand-checked cases of docs/toolkit_behaviour.md, and each named defect once as the toolkit has it
// and once as octet has not.

#include "quant/calibrator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "quant/functions.h"

namespace octet {
namespace {

using testing::HasSubstr;
using Floats = std::vector<float>;
using Doubles = std::vector<double>;

constexpr float k_nan = std::numeric_limits<float>::quiet_NaN();

Tensor row(const Floats& values) { return f32_tensor({static_cast<int64_t>(values.size())}, values); }

/// A histogram calibrator that has seen the batches.
HistogramCalibrator seen(const std::vector<Floats>& batches, HistogramCalibratorOptions options = {}) {
  Result<HistogramCalibrator> made = HistogramCalibrator::make(std::move(options));
  EXPECT_TRUE(made) << (made ? "" : made.error().message);
  for (const Floats& batch : batches) {
    const Tensor t = row(batch);
    const Result<Done> done = made->collect(view_of(t));
    EXPECT_TRUE(done) << (done ? "" : done.error().message);
  }
  return *std::move(made);
}

float amax(HistogramCalibrator& c, const AmaxOptions& options) {
  const Result<std::optional<Tensor>> found = c.compute_amax(options);
  EXPECT_TRUE(found) << (found ? "" : found.error().message);
  return found && *found ? (*found)->at<float>(0) : -1.0f;
}

/// The error of the second batch after the first.
std::string error_after(const Floats& first, const Floats& second, const HistogramCalibratorOptions& options) {
  HistogramCalibrator c = seen({first}, options);
  const Tensor t = row(second);
  const Result<Done> done = c.collect(view_of(t));
  return done ? "" : done.error().message;
}

Floats zero_to(int n) {
  Floats x;
  for (int i = 0; i < n; ++i) x.push_back(static_cast<float>(i));
  return x;
}

/// Student's t with 2 degrees of freedom: heavy tails.
Floats student(size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::student_t_distribution<float> draw(2);
  Floats x(n);
  for (float& v : x) v = draw(random);
  return x;
}

const Floats k_small = {0.1f, 0.2f, 0.9f, 1.1f, 1.9f, 2.5f, 3.2f, 3.9f, 4.2f, 5.5f, 6.1f, 7.7f, 8};
const HistogramCalibratorOptions k_toolkit_8{.num_bins = 8, .ref_compat = true};

TEST(MaxCalibrator, keeps_the_largest_and_refuses_another_shape) {  // case 1
  MaxCalibrator c;
  ASSERT_TRUE(c.collect(view_of(row({1, -3}))));
  ASSERT_TRUE(c.collect(view_of(row({2, 2, 2}))));
  EXPECT_EQ((**c.compute_amax()).at<float>(0), 3.0f);
  MaxCalibrator per_row({.axis = {{0}}});
  const Tensor two = f32_tensor({2, 1}, Floats{1, 2}), three = f32_tensor({3, 1}, Floats{1, 2, 3});
  ASSERT_TRUE(per_row.collect(view_of(two)));
  EXPECT_THAT(per_row.collect(view_of(three)).error().message, HasSubstr("amax shape changed!"));
  EXPECT_THAT(c.compute_amax({.method = "entropy"}).error().message, HasSubstr("knows the maximum only"));
  EXPECT_TRUE(c.compute_amax({.method = "max"})) << "accepted for both kinds";
  EXPECT_FALSE(*MaxCalibrator().compute_amax());
}

TEST(MaxCalibrator, non_finite_values_are_an_error_or_skipped) {  // D5
  const Tensor good = row({1, 2}), bad = row({1, k_nan, 9});
  MaxCalibrator strict({.name = "conv1"});
  ASSERT_TRUE(strict.collect(view_of(good)));
  EXPECT_THAT(strict.collect(view_of(bad)).error().message,
              HasSubstr("tensor 'conv1' has 1 values that are not finite in batch 2"));
  EXPECT_EQ((**strict.compute_amax()).at<float>(0), 2.0f) << "what was seen before stays";
  MaxCalibrator skips({.non_finite = NonFinite::skip});
  ASSERT_TRUE(skips.collect(view_of(good)));
  ASSERT_TRUE(skips.collect(view_of(bad)));
  EXPECT_EQ((**skips.compute_amax()).at<float>(0), 9.0f);
  MaxCalibrator toolkit({.ref_compat = true});
  ASSERT_TRUE(toolkit.collect(view_of(good)));
  ASSERT_TRUE(toolkit.collect(view_of(bad)));
  ASSERT_TRUE(toolkit.collect(view_of(good)));
  EXPECT_TRUE(std::isnan((**toolkit.compute_amax()).at<float>(0))) << "for good";
}

TEST(MaxCalibrator, reset_clears_the_tracked_list) {  // D25
  for (const bool ref_compat : {false, true}) {
    MaxCalibrator c({.track_amax = true, .ref_compat = ref_compat});
    ASSERT_TRUE(c.collect(view_of(row({1}))));
    c.reset();
    EXPECT_FALSE(*c.compute_amax());
    EXPECT_EQ(c.tracked().size(), ref_compat ? 1u : 0u);
  }
}

TEST(HistogramCalibrator, small_histogram_by_hand) {  // case 2
  HistogramCalibrator toolkit = seen({k_small}, k_toolkit_8);
  EXPECT_EQ(toolkit.counts(), (Doubles{3, 2, 1, 2, 1, 1, 1, 2}));
  EXPECT_EQ(toolkit.edges(), (Doubles{0, 1, 2, 3, 4, 5, 6, 7, 8}));
  HistogramCalibrator octet = seen({k_small}, {.num_bins = 8});
  EXPECT_EQ(octet.counts(), toolkit.counts());
  const double percentiles[] = {0, 25, 50, 75, 90, 100};
  const float by_toolkit[] = {0, 1, 3, 5, 7, 8}, by_octet[] = {1, 2, 4, 6, 8, 8};
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(amax(toolkit, {.method = "percentile", .percentile = percentiles[i]}), by_toolkit[i]);
    EXPECT_EQ(amax(octet, {.method = "percentile", .percentile = percentiles[i]}), by_octet[i]);
  }
}

TEST(HistogramCalibrator, small_searches_by_hand) {  // case 2
  ToolkitHistogram h;
  h.num_bins = 8;
  ASSERT_TRUE(h.collect(k_small));
  const auto near = [](const Result<ToolkitChoice>& choice, const Doubles& curve, float wanted, double tolerance) {
    ASSERT_TRUE(choice) << choice.error().message;
    EXPECT_EQ(choice->amax, wanted);
    ASSERT_EQ(choice->curve.size(), curve.size());
    for (size_t i = 0; i < curve.size(); ++i) EXPECT_NEAR(choice->curve[i], curve[i], tolerance) << i;
  };
  const double first = 5.0 / 12 * std::log(7.0 / 12) + 7.0 / 12 * std::log(49.0 / 24);
  near(toolkit_entropy(h, {3, false, 1, 4}), {first, 0.265134022073, 0.188574300988, 0.106489768439, 0.028316506133}, 8,
       1e-12);
  near(toolkit_entropy(h, {3, true, 1, 4}), {0.191781897556, 0.265134022073, 0.174416047922, 0.092331515373, 0}, 8,
       1e-12);
  near(toolkit_entropy(h, {2, false, 1, 2}),
       {0.242585971694, 0.510825623766, 0.325807680811, 0.162342289387, 0.140331086035, 0.112462562691, 0.042679097697},
       8, 1e-12);
  near(toolkit_entropy(h, {3, false, 2, 4}), {first, 0.188574300988, 0.028316506133}, 8, 1e-12);
  near(toolkit_mse(h, {3, false, 1, 4}), {3.0625, 1.3958334, 0.7708334, 0.78125}, 6.5f, 1e-6);
  near(toolkit_mse(h, {2, false, 1, 2}), {10.46875, 6.5312505, 4.28125, 3.6875, 4.562499, 6.249999}, 5.5f, 2e-6);
}

TEST(HistogramCalibrator, growth) {  // case 3
  Floats first = {0, 255, 255, 255, 255, 255}, second = {0, 255, 255, 255, 255, 256};
  HistogramCalibrator toolkit = seen({first, second}, {.ref_compat = true});
  const Doubles counts = toolkit.counts();
  ASSERT_EQ(counts.size(), 2057u);
  EXPECT_EQ(toolkit.edges().back(), 256.12060546875);
  EXPECT_EQ(counts[0], 2);
  EXPECT_EQ(counts[2047], 5) << "255 in the closed last bin of the first batch";
  EXPECT_EQ(counts[2048], 4) << "and one bin further in the second";
  EXPECT_EQ(counts[2056], 1);
  HistogramCalibrator octet = seen({first, second});
  const Doubles exact = octet.counts();
  EXPECT_EQ(octet.edges()[1], 0.0625);
  ASSERT_EQ(exact.size(), 4096u);
  EXPECT_EQ(exact[0], 2);
  EXPECT_EQ(exact[4079], 9);
  EXPECT_EQ(exact[4095], 1);
}

TEST(HistogramCalibrator, zero_to_99) {  // case 4, D30, D32
  HistogramCalibrator toolkit = seen({zero_to(100)}, {.ref_compat = true}), octet = seen({zero_to(100)});
  EXPECT_EQ(toolkit.edges()[1], 0.04833984375);
  const double percentiles[] = {50, 90, 99, 99.99, 100};
  const float by_toolkit[] = {48.96826171875f, 88.99365234375f, 97.98486328125f, 98.95166015625f, 98.95166015625f};
  const float by_octet[] = {49, 89, 98, 99, 99};
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(amax(toolkit, {.method = "percentile", .percentile = percentiles[i]}), by_toolkit[i]);
    EXPECT_EQ(amax(octet, {.method = "percentile", .percentile = percentiles[i]}), by_octet[i]);
  }
  EXPECT_EQ(amax(toolkit, {.method = "entropy"}), 99.0f);
  EXPECT_EQ(amax(toolkit, {.method = "mse"}), 98.782470703125f) << "never the maximum (D30)";
  EXPECT_EQ(octet.edges()[1], 0.03125);
  EXPECT_EQ(octet.counts().size(), 3168u);
}

TEST(HistogramCalibrator, numpy_starts_at_the_minimum) {  // case 6
  HistogramCalibrator torch = seen({{5, 6, 7, 8}}, {.num_bins = 4, .ref_compat = true});
  EXPECT_EQ(torch.edges(), (Doubles{0, 2, 4, 6, 8}));
  EXPECT_EQ(torch.counts(), (Doubles{0, 0, 1, 3}));
  HistogramCalibrator numpy = seen({{5, 6, 7, 8}}, {.num_bins = 4, .torch_hist = false, .ref_compat = true});
  EXPECT_EQ(numpy.edges(), (Doubles{5, 5.75, 6.5, 7.25, 8}));
  EXPECT_EQ(numpy.counts(), (Doubles{1, 1, 1, 1}));
}

TEST(HistogramCalibrator, arguments_are_checked) {
  EXPECT_THAT(HistogramCalibrator::make({.num_bins = 100}).error().message, HasSubstr("a power of two"));
  EXPECT_TRUE(HistogramCalibrator::make({.num_bins = 100, .ref_compat = true}));
  HistogramCalibrator c = seen({zero_to(10)});
  EXPECT_THAT(c.compute_amax({.method = "median"}).error().message, HasSubstr("Unknown calibration method 'median'"));
  EXPECT_THAT(c.compute_amax({.method = "percentile", .percentile = 101}).error().message,
              HasSubstr("Invalid percentile."));
  EXPECT_THAT(c.compute_amax({.method = "entropy", .stride = 0}).error().message, HasSubstr("stride >= 1"));
  EXPECT_FALSE(*seen({}).compute_amax({.method = "entropy"})) << "nothing seen";
}

// ---- docs/toolkit_behaviour.md, Where the toolkit is odd: the defect in ref_compat, its absence by default

TEST(Defect, D1_growth_misplaces_counts) {
  const Floats first = {8.051979f}, second = {8.602407f};
  ToolkitHistogram h;
  ASSERT_TRUE(h.collect(first));
  ASSERT_TRUE(h.collect(second));
  EXPECT_EQ(h.counts.size(), 2188u);
  EXPECT_EQ(h.edges.size(), 2190u) << "two edges more than counts need";
  EXPECT_THAT(toolkit_mse(h, {}).error().message, HasSubstr("do not fit together (D1)"));
  HistogramCalibrator octet = seen({first, second});
  EXPECT_EQ(octet.edges().size(), octet.counts().size() + 1);
  const HistogramCalibrator at_once = seen({{8.602407f, 8.051979f}});
  EXPECT_EQ(octet.counts(), at_once.counts());
}

TEST(Defect, D2_first_batch_of_zeros) {
  EXPECT_THAT(error_after(Floats(10, 0.0f), {1, 1, 1}, {.ref_compat = true}),
              HasSubstr("cannot convert float infinity"));
  HistogramCalibrator octet = seen({Floats(10, 0.0f), {1, 1, 1}});
  EXPECT_EQ(octet.counts().front(), 10);
  EXPECT_EQ(octet.counts().back(), 3);
  HistogramCalibrator zeros = seen({Floats(10, 0.0f)});
  EXPECT_EQ(amax(zeros, {.method = "entropy"}), 0.0f);
}

TEST(Defect, D2b_numpy_drops_what_is_below_the_first_minimum) {
  const std::vector<Floats> batches = {Floats(10, 5.0f), Floats(1000, 1.0f)};
  const auto total = [](const HistogramCalibrator& c) {
    double sum = 0;
    for (const double n : c.counts()) sum += n;
    return sum;
  };
  EXPECT_EQ(total(seen(batches, {.torch_hist = false, .ref_compat = true})), 10);
  EXPECT_EQ(total(seen(batches)), 1010);
  EXPECT_EQ(seen({{5}}, {.num_bins = 2, .torch_hist = false, .ref_compat = true}).edges(), (Doubles{4.5, 5, 5.5}));
}

TEST(Defect, D3_empty_batch) {
  EXPECT_THAT(error_after({1}, {}, {.ref_compat = true}), HasSubstr("(D3)"));
  EXPECT_EQ(error_after({1}, {}, {}), "");
  EXPECT_THAT(error_after({1}, {0, 0}, {.skip_zeros = true, .ref_compat = true}), HasSubstr("(D3)"));
  HistogramCalibrator octet = seen({{0, 0}, {0, 3}}, {.skip_zeros = true});
  EXPECT_EQ(octet.counts().front(), 0);
  EXPECT_EQ(octet.counts().back(), 1);
  EXPECT_FALSE(*seen({{0, 0}}, {.skip_zeros = true}).compute_amax({.method = "max"}));
}

TEST(Defect, D4_f32_counts_stop_at_2_to_the_24) {
  const Floats ones((size_t{1} << 24) + 10, 1.0f);
  EXPECT_EQ(seen({ones}, {.ref_compat = true}).counts().back(), 16777216.0);
  EXPECT_EQ(seen({ones}).counts().back(), 16777226.0);
}

TEST(Defect, D5_a_nan_hides_the_growth_of_its_batch) {
  const Floats first = {1, 2}, second = {1, k_nan, 9};
  HistogramCalibrator toolkit = seen({first, second}, {.ref_compat = true});
  EXPECT_EQ(toolkit.edges().back(), 2.0) << "9 is lost";
  EXPECT_THAT(error_after(first, second, {.name = "fc"}),
              HasSubstr("tensor 'fc' has 1 values that are not finite in batch 2"));
  HistogramCalibrator skips = seen({first, second}, {.non_finite = NonFinite::skip});
  EXPECT_EQ(amax(skips, {.method = "max"}), 9.0f);
  EXPECT_THAT(error_after({1}, {std::numeric_limits<float>::infinity()}, {.ref_compat = true}), HasSubstr("D5"));
}

TEST(Defect, D25_reset_keeps_the_grown_bins) {
  const auto bins_after_reset = [](HistogramCalibratorOptions options) {
    HistogramCalibrator c = seen({{1}, {5}}, std::move(options));
    c.reset();
    EXPECT_TRUE(c.counts().empty());
    const Tensor t = row({1});
    EXPECT_TRUE(c.collect(view_of(t)));
    return c.counts().size();
  };
  EXPECT_EQ(bins_after_reset({.num_bins = 4, .ref_compat = true}), 20u);
  EXPECT_EQ(bins_after_reset({.num_bins = 4}), 4u);
}

TEST(Defect, D27_percentile_after_entropy) {
  Floats data(200, 0.0f);
  for (int i = 0; i < 300; ++i) data.push_back(static_cast<float>(i + 1));
  const auto before_and_after = [&](HistogramCalibrator c) {
    const float before = amax(c, {.method = "percentile", .percentile = 50});
    amax(c, {.method = "entropy"});
    return std::pair(before, amax(c, {.method = "percentile", .percentile = 50}));
  };
  const auto toolkit = before_and_after(seen({data}, {.num_bins = 300, .torch_hist = false, .ref_compat = true}));
  EXPECT_NE(toolkit.first, toolkit.second);
  const auto octet = before_and_after(seen({data}));
  EXPECT_EQ(octet.first, octet.second);
}

TEST(Defect, D28_unsigned_entropy_clips_too_much) {
  Floats data = student(5000, 11);
  for (float& v : data) v = std::abs(v);
  HistogramCalibrator toolkit = seen({data}, {.is_unsigned = true, .ref_compat = true});
  HistogramCalibrator octet = seen({data}, {.is_unsigned = true});
  const Tensor x = row(data);
  const auto squared_error = [&](float threshold) {
    const Result<Tensor> y = fake_tensor_quant(view_of(x), scalar_f32(threshold), {.is_unsigned = true});
    double sum = 0;
    for (size_t i = 0; i < data.size(); ++i) {
      const double e = static_cast<double>(y->at<float>(static_cast<int64_t>(i))) - data[i];
      sum += e * e;
    }
    return sum;
  };
  const float theirs = amax(toolkit, {.method = "entropy"}), ours = amax(octet, {.method = "entropy"});
  EXPECT_LT(theirs, ours);
  EXPECT_LT(squared_error(ours), 0.8 * squared_error(theirs));
}

TEST(Defect, D29_start_bin_beyond_the_histogram) {
  HistogramCalibrator toolkit = seen({zero_to(100)}, {.ref_compat = true}), octet = seen({zero_to(100)});
  for (const char* method : {"entropy", "mse"}) {
    EXPECT_THAT(toolkit.compute_amax({.method = method, .start_bin = 4000}).error().message, HasSubstr("(D29)"));
    EXPECT_THAT(octet.compute_amax({.method = method, .start_bin = 4000}).error().message,
                HasSubstr("start_bin 4000 lies beyond the histogram's 3168 bins"));
  }
}

TEST(Defect, D30_mse_never_chooses_the_maximum) {
  // 0 .. 127, each once: every integer is worth a code.
  HistogramCalibrator toolkit = seen({zero_to(128)}, {.ref_compat = true}), octet = seen({zero_to(128)});
  const float theirs = amax(toolkit, {.method = "mse"}), ours = amax(octet, {.method = "mse"});
  EXPECT_LE(theirs, 127.0f - 127.0f / 4096) << "at most the last bin's centre";
  EXPECT_GE(ours, 127.0f - 1.0f / 32) << "an edge, within one bin of the maximum";
  HistogramCalibrator two = seen({{1, 1, 1, 100}}), two_toolkit = seen({{1, 1, 1, 100}}, {.ref_compat = true});
  EXPECT_EQ(amax(two, {.method = "mse"}), 100.0f);
  EXPECT_LT(amax(two_toolkit, {.method = "mse"}), 100.0f);
}

TEST(Defect, D41_a_tiny_first_batch_makes_bins_without_end) {
  EXPECT_THAT(error_after({1e-3f}, {100}, {.ref_compat = true}), HasSubstr("204799984 bins"));
  HistogramCalibrator octet = seen({{1e-3f}, {100}});
  EXPECT_EQ(octet.counts().size(), 3200u);
  EXPECT_EQ(octet.counts().front() + octet.counts().back(), 2.0);
}

TEST(Defect, D42_clipped_mass_over_an_empty_bin_has_a_price) {
  Floats data;
  for (int i = 0; i < 10000; ++i) data.push_back(static_cast<float>(i) * 1e-4f);
  for (const float far : {14.8f, 14.9f, 15.0f}) data.push_back(far);
  HistogramCalibrator octet = seen({data}, {.is_unsigned = true});
  EXPECT_GT(amax(octet, {.method = "entropy"}), 0.9f);
  EXPECT_LT(amax(octet, {.method = "entropy"}), 1.3f) << "an empty bin behind the mass may end the range";
  ToolkitHistogram h;
  ASSERT_TRUE(h.collect(data));
  const Result<ToolkitChoice> choice = toolkit_entropy(h, {8, true});
  ASSERT_TRUE(choice);
  EXPECT_TRUE(std::any_of(choice->curve.begin(), choice->curve.end(), [](double d) { return std::isinf(d); }));
}

TEST(Defect, D44_position_is_by_the_edges) {
  // Every multiple of the width belongs to the bin that ends there, in octet always.
  int64_t toolkit_wrong = 0;
  std::mt19937 random(5);
  for (int trial = 0; trial < 50; ++trial) {
    const float most = std::uniform_real_distribution<float>(0.5f, 9.0f)(random);
    Floats data = {most};
    for (int i = 1; i < 100; ++i) data.push_back(most * static_cast<float>(i) / 100);
    const HistogramCalibrator toolkit = seen({data}, {.num_bins = 100, .ref_compat = true});
    const Doubles counts = toolkit.counts(), edges = toolkit.edges();
    Doubles by_edges(100, 0.0);
    for (const float v : data) {
      const auto above = std::upper_bound(edges.begin(), edges.end(), static_cast<double>(v));
      by_edges[std::min<size_t>(static_cast<size_t>(above - edges.begin()), 100) - 1] += 1;
    }
    for (size_t i = 0; i < 100; ++i) toolkit_wrong += counts[i] != by_edges[i];
    const HistogramCalibrator octet = seen({data}, {.num_bins = 128});
    const Doubles ours = octet.counts(), bounds = octet.edges();
    Doubles exact(ours.size(), 0.0);
    for (const float v : data) {
      const auto at = std::lower_bound(bounds.begin() + 1, bounds.end(), static_cast<double>(v));
      exact[static_cast<size_t>(at - bounds.begin()) - 1] += 1;
    }
    EXPECT_EQ(ours, exact);
  }
  EXPECT_GT(toolkit_wrong, 0);
}

// ---- properties

TEST(Calibrators, commute_with_powers_of_two) {
  const Floats data = student(3000, 4);
  for (const bool is_unsigned : {false, true}) {
    Floats base = data;
    if (is_unsigned) std::transform(base.begin(), base.end(), base.begin(), [](float v) { return std::abs(v); });
    HistogramCalibrator one = seen({base}, {.is_unsigned = is_unsigned});
    for (const int exponent : {-40, -3, 1, 17, 60}) {
      Floats scaled = base;
      for (float& v : scaled) v = std::ldexp(v, exponent);
      HistogramCalibrator other = seen({scaled}, {.is_unsigned = is_unsigned});
      for (const char* method : {"max", "entropy", "mse"}) {
        EXPECT_EQ(amax(other, {.method = method}), std::ldexp(amax(one, {.method = method}), exponent))
            << method << " " << exponent;
      }
      for (const double p : {50.0, 99.0, 99.9, 99.99, 100.0}) {
        EXPECT_EQ(amax(other, {.method = "percentile", .percentile = p}),
                  std::ldexp(amax(one, {.method = "percentile", .percentile = p}), exponent));
      }
    }
  }
}

TEST(Calibrators, half_and_strides_are_seen_as_they_are) {
  std::vector<uint16_t> bits = {0x3c00, 0xc200, 0x4500, 0x0000};  // 1, -3, 5, 0
  const Tensor half = Tensor::from<uint16_t>(DType::f16, {4}, bits);
  HistogramCalibrator c = seen({});
  TensorView every_second = view_of(half);
  every_second.dims = {2};
  every_second.strides = {2};
  ASSERT_TRUE(c.collect(every_second));
  EXPECT_EQ(amax(c, {.method = "max"}), 5.0f);
  MaxCalibrator m;
  ASSERT_TRUE(m.collect(view_of(half)));
  EXPECT_EQ((**m.compute_amax()).at<float>(0), 5.0f);
}

}  // namespace
}  // namespace octet
