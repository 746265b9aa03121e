// Calibration by the toolkit's rules: what its histogram and searches give for the batches that the network saw.

#include "calibrate/calibrate_as_toolkit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "backends/open.h"
#include "ir/text.h"
#include "quant/toolkit_histogram.h"

namespace octet {
namespace {

using testing::HasSubstr;

/// Samples of 600 floats in memory, later ones larger: the histograms have to grow.
class GrowingSamples final : public Dataset {
 public:
  explicit GrowingSamples(int64_t count) {
    std::mt19937 random(8);
    for (int64_t i = 0; i < count; ++i) {
      std::normal_distribution<float> normal(0.0f, 1.0f + static_cast<float>(i) / 20);
      rows.emplace_back(600);
      for (float& x : rows.back()) x = normal(random);
    }
  }
  int64_t size() const override { return static_cast<int64_t>(rows.size()); }
  std::vector<int64_t> labels(int64_t) const override { return {}; }
  std::string sample_name(int64_t i) const override { return "picture " + std::to_string(i); }
  Result<Done> read(int64_t i, const Dims&, std::span<float> out) const override {
    std::copy(rows[static_cast<size_t>(i)].begin(), rows[static_cast<size_t>(i)].end(), out.begin());
    return Done{};
  }
  std::string hash() const override { return ""; }
  bool are_pictures() const override { return false; }
  std::vector<std::vector<float>> rows;
};

Result<CalibrationTable> calibrated(int64_t batch, const GrowingSamples& data) {
  const std::string b = std::to_string(batch);
  Result<Graph> graph =
      parse_graph("graph g (input: f32[" + b +
                  ",600]) -> (y) {\n  const one: f32[1] = {1}\n  r = Relu(input)\n  y = Add(r, one)\n}\n");
  EXPECT_TRUE(graph) << graph.error().message;
  const Result<std::shared_ptr<Backend>> backend = open_backend("ref");
  const Result<std::shared_ptr<const Engine>> engine = Engine::build(*std::move(graph), *backend);
  EXPECT_TRUE(engine) << engine.error().message;
  return calibrate_as_toolkit(*engine, InputData{{&data}}, {.points = {"input", "r"}, .percentile = 99});
}

/// The histogram of all batches, each rectified or not.
ToolkitHistogram histogram_of(const GrowingSamples& data, size_t batch, bool rectified) {
  ToolkitHistogram h;
  for (size_t first = 0; first < data.rows.size(); first += batch) {
    std::vector<float> all;
    for (size_t i = first; i < std::min(first + batch, data.rows.size()); ++i) {
      for (const float x : data.rows[i]) all.push_back(rectified ? std::max(x, 0.0f) : x);
    }
    EXPECT_TRUE(h.collect(all));
  }
  return h;
}

TEST(CalibrateAsToolkit, gives_the_toolkits_amax_for_the_batches_seen) {
  const GrowingSamples data(7);  // the last batch of 4 has 3
  const Result<CalibrationTable> table = calibrated(4, data);
  ASSERT_TRUE(table) << table.error().message;
  ASSERT_EQ(table->tensors.size(), 2u);
  EXPECT_EQ(table->samples, 7);
  ToolkitHistogram input = histogram_of(data, 4, false), relu = histogram_of(data, 4, true);
  const TensorRange &signed_row = table->tensors[0], &unsigned_row = table->tensors[1];
  EXPECT_EQ(signed_row.count, 7u * 600);
  const float percentile = *toolkit_percentile(input, 99);
  EXPECT_EQ(signed_row.range(CalibrationMethod::percentile), (ChosenRange{percentile, -percentile, percentile}));
  const float mse = toolkit_mse(input, {})->amax, entropy = toolkit_entropy(input, {})->amax;
  EXPECT_EQ(signed_row.range(CalibrationMethod::mse), (ChosenRange{mse, -mse, mse}));
  EXPECT_EQ(signed_row.range(CalibrationMethod::entropy), (ChosenRange{entropy, -entropy, entropy}));
  EXPECT_EQ(unsigned_row.range(CalibrationMethod::entropy),
            (ChosenRange{toolkit_entropy(relu, {})->amax, 0, toolkit_entropy(relu, {8, true})->amax}));
  EXPECT_EQ(unsigned_row.range(CalibrationMethod::max).hi, unsigned_row.max);
}

TEST(CalibrateAsToolkit, depends_on_the_batch_where_octet_does_not) {
  const GrowingSamples data(3);
  const Result<CalibrationTable> two = calibrated(2, data), one = calibrated(1, data);
  ASSERT_TRUE(two && one);
  EXPECT_NE(two->tensors[0].range(CalibrationMethod::percentile), one->tensors[0].range(CalibrationMethod::percentile));
  EXPECT_EQ(two->tensors[0].range(CalibrationMethod::max), one->tensors[0].range(CalibrationMethod::max));
}

TEST(CalibrateAsToolkit, errors_of_the_toolkit_name_the_tensor) {
  GrowingSamples data(2);
  std::fill(data.rows[0].begin(), data.rows[0].end(), 0.0f);
  const Result<CalibrationTable> table = calibrated(1, data);
  ASSERT_FALSE(table);
  EXPECT_THAT(table.error().message, HasSubstr("tensor 'input': ref_compat: the width is 0"));
}

}  // namespace
}  // namespace octet
