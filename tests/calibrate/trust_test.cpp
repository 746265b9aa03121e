// What calibration says about the samples: statistics, stability, channel order, dead channels.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "backends/open.h"
#include "calibrate/calibrate.h"
#include "calibrate/calibration_report.h"
#include "calibrate/channel_order.h"
#include "calibrate/collector.h"
#include "calibrate/input_statistics.h"
#include "ir/text.h"

namespace octet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<float> normal(size_t n, float mean, float deviation) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal(mean, deviation);
  std::vector<float> x(n);
  for (float& v : x) v = normal(random);
  return x;
}

TensorView view_of(std::vector<float>& x, Dims dims) {
  return TensorView::dense(DType::f32, std::move(dims), reinterpret_cast<std::byte*>(x.data()));
}

InputStatistics statistics_of(std::vector<float> x, const Dims& dims) {
  InputStatistics s;
  s.add(view_of(x, dims), dims[0]);
  return s;
}

TEST(InputStatistics, are_mean_and_deviation_of_each_channel) {
  std::vector<float> x = {1, 3, 10, 10, -1, -1, /**/ 5, 7, 10, 10, -1, 3};
  const InputStatistics s = statistics_of(x, {2, 3, 1, 2});
  ASSERT_EQ(s.channels().size(), 3u);
  EXPECT_DOUBLE_EQ(s.channels()[0].mean, 4);
  EXPECT_DOUBLE_EQ(s.channels()[0].deviation, std::sqrt(5.0));
  EXPECT_EQ(s.channels()[1].deviation, 0);
  EXPECT_EQ(s.channels()[2].min, -1);
  EXPECT_EQ(s.channels()[2].max, 3);
  EXPECT_TRUE(s.is_picture());
}

TEST(InputStatistics, do_not_depend_on_order_or_on_who_sums) {
  std::vector<float> x = normal(4 * 3 * 5000, 0.1f, 2.0f);
  InputStatistics all, backwards, shared;
  all.add(view_of(x, {4, 3, 50, 100}), 4);
  for (int64_t i = 4; i-- > 0;) {
    std::vector<float> one(x.begin() + i * 15000, x.begin() + (i + 1) * 15000);
    backwards.add(view_of(one, {1, 3, 50, 100}), 1);
    InputStatistics part;
    part.add(view_of(one, {1, 3, 50, 100}), 1);
    const std::optional<InputStatistics> sent = InputStatistics::from_bytes(part.to_bytes());
    ASSERT_TRUE(sent);
    shared.merge(*sent);
  }
  EXPECT_EQ(all.to_bytes(), backwards.to_bytes());
  EXPECT_EQ(all.to_bytes(), shared.to_bytes());
  EXPECT_FALSE(InputStatistics::from_bytes("x123"));
}

TEST(InputFindings, tell_good_pictures_from_likely_mistakes) {
  const Dims dims = {4, 3, 20, 20};
  const auto findings = [&](float mean, float deviation, bool norm, bool unit) {
    return input_findings(statistics_of(normal(4800, mean, deviation), dims), norm, unit);
  };
  EXPECT_THAT(findings(0.1f, 1.1f, true, true), IsEmpty());
  EXPECT_THAT(findings(-2.03f, 0.02f, true, true), ElementsAre(HasSubstr("scaled down twice")));
  EXPECT_THAT(findings(-2.1f, 4.4f, true, true), ElementsAre(HasSubstr("is the data normalised twice")));
  EXPECT_THAT(findings(10.0f, 60.0f, true, false), IsEmpty());
  EXPECT_THAT(findings(-100.0f, 0.3f, true, false), ElementsAre(HasSubstr("divided by 255 already")));
  std::vector<float> pixels = normal(4800, 128, 40), unit = pixels;
  for (float& v : pixels) v = std::clamp(v, 0.0f, 255.0f);
  for (float& v : unit) v = std::clamp(v, 0.0f, 255.0f) / 255;
  EXPECT_THAT(input_findings(statistics_of(pixels, dims), false, true), ElementsAre(HasSubstr("raw pixels")));
  EXPECT_THAT(input_findings(statistics_of(unit, dims), false, true), ElementsAre(HasSubstr("without a norm")));
  EXPECT_THAT(input_findings(statistics_of(std::vector<float>(4800, 3.0f), dims), false, true),
              ElementsAre(HasSubstr("every pixel is the same")));
  EXPECT_THAT(input_findings(statistics_of(normal(4800, 50, 100), {4, 1200}), false, true), IsEmpty()) << "no picture";
}

TEST(Stability, is_converged_where_next_to_nothing_moves) {
  EXPECT_EQ(range_drift(2.0f, 2.0f), 0);
  EXPECT_EQ(range_drift(3.0f, 4.0f), 0.25);
  EXPECT_EQ(range_drift(0.0f, 0.0f), 0);
  EXPECT_EQ(range_drift(1.0f, 0.0f), 1);
  std::vector<std::string> names(40, "t");
  std::vector<double> drifts(40, 0.0);
  names[7] = "layer4.0.add";
  drifts[7] = 0.08;
  EXPECT_THAT(to_text(judge_stability(CalibrationMethod::entropy, names, drifts, 100)),
              "stability: over the last fifth of the samples (100) the ranges (entropy) moved by 0 % in the median, at "
              "most 8 % "
              "('layer4.0.add'): converged");
  for (int i = 0; i < 4; ++i) drifts[static_cast<size_t>(i)] = 0.2;
  EXPECT_THAT(to_text(judge_stability(CalibrationMethod::max, names, drifts, 100)),
              HasSubstr("not converged, 5 of 40 tensors still move by more than 5 %: add images"));
  EXPECT_THAT(to_text(judge_stability(CalibrationMethod::max, names, drifts, 9)),
              HasSubstr("too few samples to tell (9 in"));
}

TEST(ChannelOrder, counts_right_answers_and_notes_chance_level) {
  ChannelOrder order(100);
  const std::vector<float> output = {0.1f, 0.9f, 0.2f};
  for (int64_t i = 0; i < 60; ++i) order.count_given(i, {i < 20 ? 1 : 0}, output);
  order.count_given(60, {}, output);   // no label
  order.count_given(61, {7}, output);  // a label of another network
  CalibrationReport report;
  order.report(3, report);
  EXPECT_EQ(report.labelled, 60);
  EXPECT_EQ(report.right, 20);
  EXPECT_EQ(report.swap_judged, 0);
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_THAT(report.findings[0],
              HasSubstr("only 20 of 60 labelled samples right, which is near chance for 3 classes"));
}

TEST(Collector, finds_dead_channels_and_ends_and_joins_processes) {
  const Collector::Options options{.points = {"t"}, .kernel = nullptr, .per_channel = true};
  std::vector<float> x = {1, 2, 0, 0, -3, 4, /**/ 5, 6, 0, 0, 7, -8};
  Collector whole(options), first(options), second(options);
  whole.begin_run(2, 2, false);
  whole.observe("t", view_of(x, {2, 3, 1, 2}));
  std::vector<float> a(x.begin(), x.begin() + 6), b(x.begin() + 6, x.end());
  first.begin_run(1, 1, false);
  first.observe("t", view_of(a, {1, 3, 1, 2}));
  second.begin_run(1, 1, false);
  second.observe("t", view_of(b, {1, 3, 1, 2}));
  ASSERT_TRUE(Collector::join(first.points()[0], Collector::to_bytes(second.points()[0])));
  EXPECT_EQ(first.points()[0].early, whole.points()[0].early);
  EXPECT_EQ(first.points()[0].channels, whole.points()[0].channels);
  EXPECT_THAT(whole.points()[0].channels->min, ElementsAre(1, 0, -8));
  EXPECT_THAT(whole.points()[0].channels->max, ElementsAre(6, 0, 7));
  EXPECT_EQ(first.points()[0].dead_channels(), 1);
  EXPECT_THAT(first.points()[0].alive, ElementsAre(1, 0, 1));
  EXPECT_FALSE(Collector::join(first.points()[0], "short"));
}

TEST(Collector, takes_a_batch_in_parts_as_it_takes_it_whole) {
  const Collector::Options options{.points = {"t"}, .kernel = nullptr, .per_channel = true};
  constexpr int64_t k_batch = 6, k_real = 5;
  std::vector<float> x;
  for (int i = 0; i < k_batch * 6; ++i) x.push_back(static_cast<float>((i * 37) % 23) / 8 - 1);
  Collector whole(options);
  whole.begin_run(k_batch, k_real, false);
  whole.observe("t", view_of(x, {k_batch, 3, 1, 2}));
  for (const int64_t images : {1, 2, 3}) {
    Collector parts(options);
    parts.begin_run(k_batch, k_real, false);
    for (int64_t first = 0; first < k_batch; first += images) {
      std::vector<float> part(x.begin() + first * 6, x.begin() + (first + images) * 6);
      parts.observe("t", view_of(part, {images, 3, 1, 2}), first, images);
      parts.observe("t", view_of(part, {images, 3, 1, 2}), first, images);  // a second view of the same images
    }
    parts.observe("t", view_of(x, {k_batch, 3, 1, 2}));  // and of all of them
    EXPECT_EQ(parts.points()[0].early, whole.points()[0].early) << images;
    EXPECT_EQ(parts.points()[0].channels, whole.points()[0].channels) << images;
    EXPECT_EQ(parts.points()[0].alive, whole.points()[0].alive) << images;
  }
  x[4 * 6 + 1] = std::nanf("");
  Collector broken(options);
  broken.begin_run(k_batch, k_real, false);
  for (int64_t first = 0; first < k_batch; first += 2) {
    std::vector<float> part(x.begin() + first * 6, x.begin() + (first + 2) * 6);
    broken.observe("t", view_of(part, {2, 3, 1, 2}), first, 2);
  }
  ASSERT_TRUE(broken.non_finite());
  EXPECT_EQ(broken.non_finite()->slot, 4);
}

/// Pictures of one colour, red (label 0) or blue (label 2) by turns; bgr: blue is stored first.
class ColouredPictures final : public Dataset {
 public:
  explicit ColouredPictures(bool bgr) : bgr_(bgr) {}
  int64_t size() const override { return 60; }
  std::vector<int64_t> labels(int64_t i) const override { return {i % 2 == 0 ? 0 : 2}; }
  std::string sample_name(int64_t i) const override { return std::to_string(i); }
  Result<Done> read(int64_t i, const Dims&, std::span<float> out) const override {
    const bool first = (i % 2 == 0) != bgr_;
    for (size_t k = 0; k < out.size(); ++k)
      out[k] = static_cast<float>((k * 7 + static_cast<size_t>(i)) % 5) / 10 - 0.5f;
    for (size_t k = 0; k < 4; ++k) out[(first ? 0 : 8) + k] += 1;
    return Done{};
  }
  std::string hash() const override { return ""; }
  bool are_pictures() const override { return false; }

 private:
  bool bgr_;
};

/// The network's answer is the brightest channel; d is zero whatever comes, one channel of e too, and t next to
/// nothing.
CalibrationReport report_of(const Dataset& data) {
  Result<Graph> graph = parse_graph(
      "graph g (x: f32[4,3,2,2]) -> (y) {\n  const zero: f32[1] = {0}\n  const two: f32[1,3,1,1] = {1, 0, 1}\n"
      "  d = Mul(x, zero)\n  e = Mul(x, two)\n  const small: f32[] = {1e-9}\n  t = Mul(x, small)\n  s = Add(d, e)\n  p "
      "= GlobalAveragePool(s)\n  y = Flatten(p)\n}\n");
  EXPECT_TRUE(graph) << graph.error().message;
  const Result<std::shared_ptr<Backend>> backend = open_backend("ref");
  const Result<std::shared_ptr<const Engine>> engine = Engine::build(*std::move(graph), *backend);
  EXPECT_TRUE(engine) << engine.error().message;
  const Result<Calibrated> made = calibrate(*engine, InputData{{&data}}, {.points = {"x", "d", "e", "t"}});
  EXPECT_TRUE(made) << made.error().message;
  return made ? made->report : CalibrationReport{};
}

TEST(Report, red_and_blue_are_scored_both_ways_where_labels_are) {
  const CalibrationReport good = report_of(ColouredPictures(false)), swapped = report_of(ColouredPictures(true));
  EXPECT_EQ(good.labelled, 60);
  EXPECT_EQ(good.right, 60);
  EXPECT_EQ(good.as_given, 32);
  EXPECT_EQ(good.swapped, 0);
  EXPECT_THAT(good.findings, testing::Not(testing::Contains(HasSubstr("red and blue"))));
  EXPECT_EQ(swapped.as_given, 0);
  EXPECT_EQ(swapped.swapped, 32);
  EXPECT_THAT(swapped.findings, testing::Contains(HasSubstr("red and blue are likely swapped: of 32 labelled samples "
                                                            "the network gets 0 right as given and 32 with")));
}

TEST(Report, dead_tensors_and_channels_are_found_by_running) {
  const CalibrationReport r = report_of(ColouredPictures(false));
  EXPECT_THAT(r.dead_tensors, ElementsAre("d"));
  EXPECT_THAT(r.tiny_tensors, ElementsAre("t"));
  ASSERT_EQ(r.dead_channels.size(), 1u);
  EXPECT_EQ(r.dead_channels[0].tensor, "e");
  EXPECT_THAT(r.dead_channels[0].dead, ElementsAre(1));
}

TEST(Report, lists_dead_tensors_and_channels) {
  CalibrationReport report;
  report.samples = 512;
  report.tensors = 54;
  report.dead_tensors = {"a"};
  report.tiny_tensors = {"b"};
  report.dead_channels = {{"layer3.conv2", 256, {7, 19, 23}}};
  const std::vector<std::string> lines = lines_of(report);
  EXPECT_EQ(lines[0], "calibrated 512 samples, 54 of 54 tensors observed, 0 values not finite");
  EXPECT_THAT(lines, testing::Contains("warning: 1 tensors are zero for every sample: 'a'"));
  EXPECT_THAT(lines, testing::Contains("warning: 1 tensors never exceed 2^-24, which the pytorch-quantization toolkit "
                                       "takes for zero: 'b'"));
  EXPECT_THAT(lines, testing::Contains("note: 'layer3.conv2': 3 of 256 channels are zero for every sample [7,19,23]; "
                                       "consider pruning"));
}

}  // namespace
}  // namespace octet
