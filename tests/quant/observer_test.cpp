// PyTorch's observers against records of PyTorch 2.4.1 itself ($OCTET_DATA/golden/observers.npz) and worked cases.
#include "quant/observer.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "data/npy.h"

namespace octet {
namespace {

using Json = nlohmann::json;

std::vector<float> floats(const Tensor& tensor) { return {tensor.as<float>().begin(), tensor.as<float>().end()}; }
std::vector<int32_t> ints(const Tensor& tensor) {
  std::vector<int32_t> values;
  for (const double x : to_doubles(tensor)) values.push_back(static_cast<int32_t>(x));
  return values;
}

TEST(Observers, equal_every_record_bit_for_bit) {
  const char* root = std::getenv("OCTET_DATA");
  if (!root) GTEST_SKIP() << "OCTET_DATA is not set";
  const std::string folder = std::string(root) + "/golden/";
  const Result<std::string> text = read_text_file(folder + "index.json");
  ASSERT_TRUE(text) << text.error().message;
  const auto read = read_npz(folder + "observers.npz");
  ASSERT_TRUE(read) << read.error().message;
  const std::map<std::string, Tensor> arrays(read->begin(), read->end());
  int64_t compared = 0;
  const Json index = Json::parse(*text);  // kept: a range-for does not keep a temporary's owner
  for (const Json& record : index["records"]) {
    if (record["kind"] != "observer") continue;
    const Json& params = record["params"];
    const std::string observer = params["observer"];
    if (observer == "HistogramObserver") continue;  // optional, not in octet
    ObserverOptions options;
    options.symmetric = params["qscheme"].get<std::string>().ends_with("symmetric");
    options.dtype = params["dtype"] == "torch.qint8" ? DType::s8 : DType::u8;
    options.quant_min = params["quant_min"];
    options.quant_max = params["quant_max"];
    options.eps = params["eps"].get<float>();
    options.moving_average = observer == "MovingAverageMinMaxObserver";
    const auto array = [&](const char* part, const std::string& key) -> const Tensor& {
      return arrays.at(record[part][key].get<std::string>());
    };
    const Tensor& scale = array("outputs", "scale");
    const Tensor& first = array("inputs", "batch0");
    const bool per_channel = observer == "PerChannelMinMaxObserver";
    // The axis is in the record's name, its length in the scale's.
    const size_t axis = record["id"].get<std::string>().starts_with("obs_perch1") ? 1 : 0;
    size_t inner = 1;
    for (size_t d = axis + 1; per_channel && d < first.rank(); ++d) inner *= static_cast<size_t>(first.dims()[d]);
    MinMaxObserver made(options, static_cast<size_t>(scale.size()));
    for (int n = 0; record["inputs"].contains("batch" + std::to_string(n)); ++n)
      ASSERT_TRUE(made.observe(array("inputs", "batch" + std::to_string(n)).as<float>(), inner));
    const ObservedParams found = made.params();
    EXPECT_EQ(found.scale, floats(scale)) << record["id"];
    EXPECT_EQ(found.zero_point, ints(array("outputs", "zero_point"))) << record["id"];
    EXPECT_EQ(made.min(), floats(array("outputs", "min_val"))) << record["id"];
    EXPECT_EQ(made.max(), floats(array("outputs", "max_val"))) << record["id"];
    const int32_t low = options.dtype == DType::s8 ? -128 : 0;
    EXPECT_EQ(torch_quantize(first.as<float>(), found, inner, low, low + 255), ints(array("outputs", "q_batch0")))
        << record["id"];
    ++compared;
  }
  EXPECT_EQ(compared, 13);
}

TEST(Observers, the_worked_cases) {
  const float two_values[] = {-2.0f, 1.0f};
  MinMaxObserver symmetric({});
  ASSERT_TRUE(symmetric.observe(two_values));
  EXPECT_EQ(symmetric.params().scale[0], 0.015686275f);
  const float ends[] = {2.0f, -2.0f};
  EXPECT_EQ(torch_quantize(ends, symmetric.params(), 1, -128, 127), (std::vector<int32_t>{127, -127}));
  ObserverOptions affine{.symmetric = false, .dtype = DType::u8, .quant_min = 0, .quant_max = 255};
  MinMaxObserver around_zero(affine), above_zero(affine);
  const float low_high[] = {-1.0f, 2.0f}, positive[] = {2.0f, 5.0f};
  ASSERT_TRUE(around_zero.observe(low_high));
  ASSERT_TRUE(above_zero.observe(positive));
  EXPECT_EQ(around_zero.params(), (ObservedParams{{0.011764706f}, {85}}));
  EXPECT_EQ(above_zero.params(), (ObservedParams{{5.0f / 255.0f}, {0}}));
  ObserverOptions coarse;
  coarse.eps = 0x1p-12f;
  MinMaxObserver tiny(coarse);
  const float small[] = {0.01f};
  ASSERT_TRUE(tiny.observe(small));
  EXPECT_EQ(tiny.params().scale[0], 0.00024414062f);
}

TEST(Observers, before_any_data_the_scale_is_1_and_a_nan_is_refused) {
  MinMaxObserver observer({});
  EXPECT_EQ(observer.params(), (ObservedParams{{1.0f}, {0}}));
  const float bad[] = {1.0f, std::numeric_limits<float>::quiet_NaN()};
  const Result<Done> refused = observer.observe(bad);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "element 1 is NaN; an observer takes numbers");
}

}  // namespace
}  // namespace octet
