// The toolkit's functions on .npy files, through the public API.

#include "octet/tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "data/npy.h"

namespace octet {
namespace {

using testing::HasSubstr;
using Floats = std::vector<float>;
using Json = nlohmann::json;

class TensorFiles : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("octet_tensor_" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
    ASSERT_TRUE(save_npy(path("x.npy"), f32_tensor({2, 2}, Floats{1, -2, 3, -4})));
    ASSERT_TRUE(save_npy(path("y.npy"), f32_tensor({3}, Floats{0, 5, 10})));
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path(const char* name) const { return folder_ + "/" + name; }

 private:
  std::string folder_;
};

TEST_F(TensorFiles, quantize_writes_codes_and_scales) {
  TensorSpec spec;
  spec.file = path("x.npy");
  spec.output = path("q.npy");
  spec.scale_output = path("s.npy");
  spec.axis = {{0}};
  const Result<TensorReport> report = quantize_npy(spec);
  ASSERT_TRUE(report) << report.error().message;
  const Result<Tensor> q = read_npy(path("q.npy")), s = read_npy(path("s.npy"));
  ASSERT_TRUE(q && s);
  EXPECT_EQ(q->dtype(), DType::s8);
  EXPECT_EQ(to_doubles(*q), (std::vector<double>{64, -127, 95, -127}));
  EXPECT_EQ(s->dims(), (Dims{2, 1}));
  const Json json = Json::parse(report->json);
  EXPECT_EQ(json["scale"], Json::array({63.5, 31.75}));
  EXPECT_EQ(json["amax"], Json::array({2.0, 4.0}));
  EXPECT_EQ(json["shape"], Json::array({2, 2}));
  EXPECT_THAT(report->text, HasSubstr("scale [31.7500, 63.5000](2)"));
}

TEST_F(TensorFiles, fake_quantize_takes_amax_as_a_number_or_a_file) {
  TensorSpec spec;
  spec.file = path("x.npy");
  spec.output = path("f.npy");
  spec.amax = "1";
  spec.full_range = true;
  ASSERT_TRUE(fake_quantize_npy(spec));
  EXPECT_EQ(to_doubles(*read_npy(path("f.npy"))), to_doubles(f32_tensor({4}, Floats{1, -1.007874f, 1, -1.007874f})));
  ASSERT_TRUE(save_npy(path("amax.npy"), f32_tensor({2}, Floats{2, 4})));
  spec.amax = path("amax.npy");
  spec.axis = {{0}};  // a list belongs to the axis
  ASSERT_TRUE(fake_quantize_npy(spec));
  EXPECT_EQ(read_npy(path("f.npy"))->at<float>(3), -4.0f);
  spec.amax = "two";
  EXPECT_THAT(fake_quantize_npy(spec).error().message, HasSubstr("--amax two is no number and no .npy file"));
}

TEST_F(TensorFiles, histogram_and_calibration_over_several_files) {
  HistogramSpec spec;
  spec.files = {path("x.npy"), path("y.npy")};
  spec.counts_output = path("counts.npy");
  spec.edges_output = path("edges.npy");
  const Result<TensorReport> histogram = histogram_npy(spec);
  ASSERT_TRUE(histogram) << histogram.error().message;
  double total = 0;
  for (const double c : to_doubles(*read_npy(path("counts.npy")))) total += c;
  EXPECT_EQ(total, 7);
  EXPECT_EQ(to_doubles(*read_npy(path("edges.npy"))).back(), 10);
  spec.method = "all";
  const Result<TensorReport> all = calibrate_npy(spec);
  ASSERT_TRUE(all) << all.error().message;
  EXPECT_EQ(Json::parse(all->json)["amax"]["max"], 10.0);
  spec.method = "percentile";
  spec.percentile = 50;
  spec.amax_output = path("a.npy");
  ASSERT_TRUE(calibrate_npy(spec));
  EXPECT_EQ(read_npy(path("a.npy"))->at<float>(0), 3.0f) << "the fourth of 0 1 2 3 4 5 10";
  spec.percentile = 60;  // the fifth, 4: the last bin of the first batch
  ASSERT_TRUE(calibrate_npy(spec));
  EXPECT_EQ(read_npy(path("a.npy"))->at<float>(0), 4.0f);
  spec.ref_compat = true;
  ASSERT_TRUE(calibrate_npy(spec));
  EXPECT_LT(read_npy(path("a.npy"))->at<float>(0), 4.0f) << "the toolkit takes a lower edge";
}

TEST_F(TensorFiles, errors_say_what_and_where) {
  HistogramSpec spec;
  spec.files = {path("x.npy")};
  spec.method = "entropy";
  spec.axis = {{0}};
  EXPECT_THAT(calibrate_npy(spec).error().message, HasSubstr("an axis needs --method max"));
  spec.axis.reset();
  spec.numpy_hist = true;
  EXPECT_THAT(calibrate_npy(spec).error().message, HasSubstr("add --ref-compat"));
  spec.numpy_hist = false;
  spec.method = "all";
  spec.amax_output = path("a.npy");
  EXPECT_THAT(calibrate_npy(spec).error().message, HasSubstr("choose a --method"));
  ASSERT_TRUE(save_npy(path("nan.npy"), f32_tensor({2}, Floats{1, std::numeric_limits<float>::quiet_NaN()})));
  spec.amax_output.clear();
  spec.files = {path("nan.npy")};
  EXPECT_THAT(calibrate_npy(spec).error().message,
              HasSubstr("nan.npy: a tensor has 1 values that are not finite in batch 1"));
  spec.skip_non_finite = true;
  EXPECT_TRUE(calibrate_npy(spec));
  ASSERT_TRUE(save_npy(path("i.npy"), s64_tensor({1}, std::vector<int64_t>{1})));
  EXPECT_THAT(load_npy(path("i.npy")).error().message, HasSubstr("save them as float32 or float16"));
}

}  // namespace
}  // namespace octet
