// The toolkit's histograms and searches against its own recorded runs: hist_torch.npz, hist_numpy.npz. Counts, chosen
// amax and torch's edges bit for bit.

#include "golden.h"
#include "quant/toolkit_histogram.h"

namespace octet {
namespace {

using Json = nlohmann::json;

std::vector<float> floats_of(const Tensor& t) {
  std::vector<float> out;
  for (const double v : to_doubles(t)) out.push_back(static_cast<float>(v));
  return out;
}

class GoldenToolkitHistograms : public Golden {
 protected:
  ToolkitHistogram make(const Json& record) {
    ToolkitHistogram h;
    h.torch_hist = record["params"]["torch_hist"];
    h.num_bins = record["params"]["num_bins"];
    h.skip_zeros = record["params"].value("skip_zeros", false);
    return h;
  }

  void expect_state(const Json& record, const ToolkitHistogram& h, size_t batch) {
    const std::string n = std::to_string(batch);
    if (!record["outputs"].contains("hist" + n)) return;
    EXPECT_EQ(h.counts, to_doubles(array(record, record["outputs"]["hist" + n]))) << "batch " << n;
    EXPECT_EQ(h.edges, to_doubles(array(record, record["outputs"]["edges" + n]))) << "batch " << n;
    EXPECT_EQ(h.num_bins, record["params"]["num_bins_after"][batch].get<int64_t>());
    ++states_;
  }

  void expect_choice(const Json& record, ToolkitHistogram h, const Json& wanted) {
    const std::string method = wanted["method"];
    if (method == "percentile") {
      const Result<float> amax = toolkit_percentile(h, wanted["percentile"]);
      ASSERT_TRUE(amax) << amax.error().message;
      EXPECT_EQ(*amax, scalar(wanted["amax"])) << wanted;
      ++choices_;
      return;
    }
    const ToolkitSearch search{wanted["num_bits"].get<int>(), wanted["unsigned"], wanted["stride"],
                               wanted["start_bin"]};
    const Result<ToolkitChoice> choice = method == "entropy" ? toolkit_entropy(h, search) : toolkit_mse(h, search);
    ASSERT_TRUE(choice) << choice.error().message;
    EXPECT_EQ(choice->amax, scalar(wanted["amax"])) << wanted;
    ++choices_;
    if (!wanted.contains("curve")) return;
    const std::vector<double> curve = to_doubles(array(record, wanted["curve"]));
    ASSERT_EQ(choice->curve.size(), curve.size());
    // The mean error's order of summing is torch's own; the divergence is NumPy's to a few ulps of log.
    const double tolerance = method == "entropy" ? 1e-13 : 1e-6;
    for (size_t i = 0; i < curve.size(); ++i) {
      if (!std::isfinite(curve[i])) {
        EXPECT_TRUE(choice->curve[i] == curve[i] || (std::isnan(choice->curve[i]) && std::isnan(curve[i])));
        continue;
      }
      ASSERT_NEAR(choice->curve[i], curve[i], tolerance * std::abs(curve[i]) + 1e-15) << wanted << " candidate " << i;
    }
  }

  int states_ = 0, choices_ = 0;
};

TEST_F(GoldenToolkitHistograms, counts_edges_curves_and_choices) {
  const std::vector<Json> all = records("histogram");
  ASSERT_EQ(all.size(), 41u);
  for (const Json& record : all) {
    SCOPED_TRACE(record["id"]);
    ToolkitHistogram h = make(record);
    for (size_t batch = 0; record["inputs"].contains("batch" + std::to_string(batch)); ++batch) {
      const Tensor& x = array(record, record["inputs"]["batch" + std::to_string(batch)]);
      const Result<Done> done = h.collect(floats_of(x));
      ASSERT_TRUE(done) << done.error().message;
      expect_state(record, h, batch);
    }
    if (!record.contains("results")) continue;
    for (const Json& wanted : record["results"]) expect_choice(record, h, wanted);
  }
  EXPECT_EQ(states_, 89);
  EXPECT_EQ(choices_, 414);
}

TEST_F(GoldenToolkitHistograms, entropy_overwrites_bin_0_in_numpy_mode) {  // D27
  ASSERT_EQ(records("histogram_side_effect").size(), 1u);
  for (const Json& record : records("histogram_side_effect")) {
    ToolkitHistogram h = make(record);
    ASSERT_TRUE(h.collect(floats_of(input(record, "batch0"))));
    EXPECT_EQ(*toolkit_percentile(h, 50), scalar(record["scalars"]["percentile50_before"]));
    ASSERT_TRUE(toolkit_entropy(h, {}));
    EXPECT_EQ(*toolkit_percentile(h, 50), scalar(record["scalars"]["percentile50_after_entropy"]));
  }
}

}  // namespace
}  // namespace octet
