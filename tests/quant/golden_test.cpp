// Against the toolkit's recorded histograms and search curves ($OCTET_DATA/golden, made by pytorch-quantization 2.2.1).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "base/file.h"
#include "data/npy.h"
#include "quant/choose.h"

namespace octet {
namespace {

using Json = nlohmann::json;

class GoldenHistograms : public testing::Test {
 protected:
  void SetUp() override {
    const char* root = std::getenv("OCTET_DATA");
    if (!root) GTEST_SKIP() << "OCTET_DATA is not set";
    const std::string folder = std::string(root) + "/golden/";
    const Result<std::string> text = read_text_file(folder + "index.json");
    ASSERT_TRUE(text) << text.error().message;
    const Json index = Json::parse(*text);
    for (const Json& record : index["records"]) {
      if (record["kind"] == "histogram") records_.push_back(record);
    }
    for (const char* file : {"hist_torch.npz", "hist_numpy.npz"}) {
      const auto arrays = read_npz(folder + file);
      ASSERT_TRUE(arrays) << arrays.error().message;
      for (const auto& [key, tensor] : *arrays) arrays_[file].emplace(key, tensor);
    }
    ASSERT_GT(records_.size(), 30u);
  }

  const Tensor& array(const Json& record, const std::string& key) const {
    return arrays_.at(record["file"].get<std::string>()).at(key);
  }

  std::vector<Json> records_;
  std::map<std::string, std::map<std::string, Tensor>> arrays_;
};

TEST_F(GoldenHistograms, do_not_depend_on_cuts_and_order) {  // calibrators, case 7
  std::mt19937 random(6);
  for (const Json& record : records_) {
    Histogram recorded;
    std::vector<float> all;
    for (const auto& [name, key] : record["inputs"].items()) {
      std::vector<float> batch;
      for (const double x : to_doubles(array(record, key))) batch.push_back(static_cast<float>(x));
      recorded.collect(batch);
      all.insert(all.end(), batch.begin(), batch.end());
    }
    std::shuffle(all.begin(), all.end(), random);
    Histogram permuted;
    for (size_t at = 0; at < all.size();) {
      const size_t n = std::min<size_t>(1 + random() % 700, all.size() - at);
      permuted.collect({all.data() + at, n});
      at += n;
    }
    EXPECT_EQ(permuted, recorded) << record["id"];
    for (const CalibrationMethod method : k_calibration_methods) {
      EXPECT_EQ(choose(method, permuted), choose(method, recorded)) << record["id"] << " " << name(method);
    }
  }
}

TEST_F(GoldenHistograms, have_the_toolkits_entropy_curves) {
  int64_t compared = 0;
  for (const Json& record : records_) {
    if (!record.contains("outputs") || !record.contains("results")) continue;
    std::string last;  // hist0, hist1, ...: the searches ran on the last one
    for (const auto& [name, key] : record["outputs"].items()) {
      if (name.starts_with("hist")) last = std::max(last, key.get<std::string>());
    }
    if (last.empty()) continue;
    Bins bins;
    bins.width = 1;
    for (const double c : to_doubles(array(record, last))) bins.counts.push_back(static_cast<uint64_t>(c));
    bins.max = static_cast<double>(bins.counts.size());
    for (const Json& result : record["results"]) {
      if (result["method"] != "entropy" || !result.contains("curve") || result["stride"] != 1) continue;
      const int bits = result["num_bits"], levels = 1 << (bits - 1 + (result["unsigned"].get<bool>() ? 1 : 0));
      const std::vector<double> curve = entropy_curve(bins, levels, result["start_bin"].get<int>());
      const std::vector<double> expected = to_doubles(array(record, result["curve"]));
      ASSERT_EQ(curve.size(), expected.size()) << record["id"];
      for (size_t i = 0; i < curve.size(); ++i) {
        // The toolkit refuses clipped mass over an empty bin, octet does not (D42); octet refuses one filled bin alone.
        if (!std::isfinite(expected[i]) || !std::isfinite(curve[i])) continue;
        EXPECT_NEAR(curve[i], expected[i], 1e-12 * (1 + std::abs(expected[i]))) << record["id"] << " candidate " << i;
        ++compared;
      }
    }
  }
  EXPECT_GT(compared, 3000);
}

}  // namespace
}  // namespace octet
