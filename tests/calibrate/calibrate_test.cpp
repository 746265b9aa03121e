#include "calibrate/calibrate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "backends/open.h"
#include "ir/text.h"
#include "quant/choose.h"

namespace octet {
namespace {

using testing::HasSubstr;

/// Samples of 6 floats in memory.
class Samples final : public Dataset {
 public:
  explicit Samples(int64_t count) {
    std::mt19937 random(8);
    std::normal_distribution<float> normal(0.0f, 3.0f);
    rows.resize(static_cast<size_t>(count), std::vector<float>(6));
    for (auto& row : rows) {
      for (float& x : row) x = normal(random);
    }
  }
  int64_t size() const override { return static_cast<int64_t>(rows.size()); }
  std::vector<int64_t> labels(int64_t) const override { return {}; }
  std::string sample_name(int64_t i) const override { return "picture " + std::to_string(i); }
  Result<Done> read(int64_t i, const Dims& dims, std::span<float> out) const override {
    EXPECT_EQ(dims, (Dims{2, 3}));
    if (i == unreadable) return Error{ErrorCode::io, sample_name(i) + ": cannot open"};
    std::copy(rows[static_cast<size_t>(i)].begin(), rows[static_cast<size_t>(i)].end(), out.begin());
    return Done{};
  }
  std::string hash() const override { return ""; }
  bool are_pictures() const override { return false; }

  std::vector<std::vector<float>> rows;
  int64_t unreadable = -1;
};

std::string small_graph(int64_t batch) {
  const std::string b = std::to_string(batch);
  return "graph g (input: f32[" + b +
         ",2,3]) -> (y) {\n  const one: f32[1] = {1}\n  r = Relu(input)\n  y = Add(r, one)\n}\n";
}

std::shared_ptr<const Engine> engine(const std::string& text, const char* backend = "ref") {
  Result<Graph> graph = parse_graph(text);
  EXPECT_TRUE(graph) << graph.error().message;
  const Result<std::shared_ptr<Backend>> opened = open_backend(backend);
  EXPECT_TRUE(opened) << opened.error().message;
  const Result<std::shared_ptr<const Engine>> built = Engine::build(*std::move(graph), *opened);
  EXPECT_TRUE(built) << built.error().message;
  return *built;
}

CalibrationTable table_of(int64_t batch, const Samples& data, const CalibrateOptions& options,
                          const char* backend = "ref") {
  Result<CalibrationTable> table = calibrate(engine(small_graph(batch), backend), data, options);
  EXPECT_TRUE(table) << table.error().message;
  return table ? *table : CalibrationTable{};
}

std::string error_of(int64_t batch, const Samples& data, const CalibrateOptions& options) {
  const Result<CalibrationTable> table = calibrate(engine(small_graph(batch)), data, options);
  return table ? "accepted" : table.error().message;
}

TEST(Calibrate, finds_what_a_histogram_of_all_samples_finds) {
  const Samples data(21);
  Histogram input, relu;
  for (const std::vector<float>& row : data.rows) {
    input.collect(row);
    std::vector<float> clipped = row;
    for (float& x : clipped) x = std::max(x, 0.0f);
    relu.collect(clipped);
  }
  const CalibrationTable table = table_of(4, data, {.points = {"input", "r"}, .percentile = 98});
  ASSERT_EQ(table.tensors.size(), 2u);
  EXPECT_EQ(table.samples, 21);
  EXPECT_EQ(table.percentile, 98);
  const TensorRange& r = table.tensors[1];
  EXPECT_EQ(r.name, "r");
  EXPECT_EQ(r.count, 21u * 6);
  EXPECT_EQ(r.min, 0);
  EXPECT_EQ(r.max, relu.max());
  EXPECT_EQ(table.tensors[0].min, input.min());
  for (const CalibrationMethod method : k_calibration_methods) {
    EXPECT_EQ(r.range(method), choose(method, relu, {98})) << name(method);
    EXPECT_EQ(table.tensors[0].range(method), choose(method, input, {98})) << name(method);
  }
}

TEST(Calibrate, tells_the_histograms_behind_the_rows) {
  const Samples data(21);
  std::vector<std::string> seen;
  uint64_t counted = 0;
  CalibrateOptions options{.points = {"input", "r"}};
  options.on_histogram = [&](const TensorRange& row, const Bins& bins) {
    seen.push_back(row.name);
    counted += bins.total;
    EXPECT_EQ(bins.max, double{std::max(row.max, -row.min)});
    EXPECT_LE(bins.counts.size(), 128u);
  };
  table_of(4, data, options);
  EXPECT_EQ(seen, (std::vector<std::string>{"input", "r"}));
  EXPECT_EQ(counted, 2 * 21u * 6);
}

TEST(Calibrate, does_not_depend_on_batch_order_threads_or_back_end) {
  Samples data(23);
  const CalibrateOptions options{.points = {"input", "r", "y"}};
  const std::vector<TensorRange> expected = table_of(1, data, options).tensors;
  for (const int64_t batch : {2, 3, 8, 23, 40}) {
    EXPECT_EQ(table_of(batch, data, options).tensors, expected) << "batch " << batch;
    EXPECT_EQ(table_of(batch, data, options, "cpu").tensors, expected) << "batch " << batch << " on cpu";
  }
  CalibrateOptions threaded = options;
  threaded.threads = 3;
  EXPECT_EQ(table_of(8, data, threaded).tensors, expected);
  std::shuffle(data.rows.begin(), data.rows.end(), std::mt19937(2));
  EXPECT_EQ(table_of(5, data, options).tensors, expected);
}

TEST(Calibrate, reports_progress_up_to_the_last_sample) {
  std::vector<int64_t> seen;
  CalibrateOptions options{.points = {"r"}};
  options.progress = [&](int64_t done, int64_t total) {
    EXPECT_EQ(total, 10);
    seen.push_back(done);
  };
  table_of(4, Samples(10), options);
  EXPECT_THAT(seen, testing::ElementsAre(4, 8, 10));
}

TEST(Calibrate, lists_a_point_once_and_keeps_the_order_of_the_points) {
  const CalibrationTable table = table_of(2, Samples(3), {.points = {"y", "input", "y"}});
  ASSERT_EQ(table.tensors.size(), 2u);
  EXPECT_EQ(table.tensors[0].name, "y");
  EXPECT_EQ(table.tensors[1].name, "input");
}

TEST(Calibrate, refuses_to_run_on_nothing) {
  EXPECT_THAT(error_of(2, Samples(0), {.points = {"r"}}), HasSubstr("no samples to calibrate with"));
  EXPECT_THAT(error_of(2, Samples(3), {.points = {"r", "gone"}}), HasSubstr("tensor 'gone' was never reached"));
  EXPECT_THAT(error_of(2, Samples(3), {.points = {"r"}, .percentile = 101}), HasSubstr("is not in [0, 100]"));
}

TEST(Calibrate, names_tensor_and_sample_of_a_value_that_is_not_finite) {
  Samples data(7);
  data.rows[5][2] = std::numeric_limits<float>::infinity();
  const std::string message = error_of(4, data, {.points = {"r", "y"}});
  EXPECT_THAT(message, HasSubstr("tensor 'r' has 1 values that are not finite for sample 'picture 5'"));
  data.rows[5][2] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(error_of(4, data, {.points = {"input"}}), HasSubstr("tensor 'input' has 1 values"));
}

TEST(Calibrate, passes_on_the_error_of_a_sample) {
  Samples data(7);
  data.unreadable = 6;
  EXPECT_THAT(error_of(4, data, {.points = {"r"}}), HasSubstr("picture 6: cannot open"));
}

TEST(Calibrate, gives_zero_ranges_for_a_tensor_of_zeros) {
  Samples data(3);
  for (auto& row : data.rows) row.assign(6, -1.0f);
  const CalibrationTable table = table_of(2, data, {.points = {"r"}});
  EXPECT_EQ(table.tensors[0].count, 18u);
  EXPECT_EQ(table.tensors[0].range(CalibrationMethod::entropy), ChosenRange{});
}

TEST(Calibrate, feeds_only_networks_with_one_float_input) {
  const auto message = [](const std::string& text) {
    const Result<CalibrationTable> table = calibrate(engine(text), Samples(2), {.points = {}});
    return table ? "accepted" : table.error().message;
  };
  EXPECT_THAT(message("graph g (a: f32[1,2,3], b: f32[1,2,3]) -> (y) {\n  y = Add(a, b)\n}\n"),
              HasSubstr("the network has 2 inputs, data was given for 1"));
}

}  // namespace
}  // namespace octet
