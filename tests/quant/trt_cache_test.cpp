// Every real cache reads and comes back byte for byte; what none of them shows is made up here.
#include "quant/trt_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace octet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
namespace fs = std::filesystem;

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

TrtCache parsed(std::string_view text) {
  const Result<TrtCache> cache = parse_trt_cache(text);
  EXPECT_TRUE(cache) << (cache ? "" : cache.error().message);
  return cache ? *cache : TrtCache{};
}

std::string error_of(std::string_view text) {
  const Result<TrtCache> cache = parse_trt_cache(text);
  return cache ? "accepted" : cache.error().message;
}

float scale_of(const TrtCache& cache, const std::string& name) {
  for (const TrtScale& s : cache.scales)
    if (s.name == name) return s.scale;
  ADD_FAILURE() << name;
  return 0;
}

class RealCaches : public testing::Test {
 protected:
  void SetUp() override {
    const char* data = std::getenv("OCTET_DATA");
    if (!data) GTEST_SKIP() << "OCTET_DATA is not set";
    folder = fs::path(data) / "caches";
  }
  fs::path folder;
};

TEST_F(RealCaches, all_read_and_write_back_byte_for_byte) {
  size_t files = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("trt")) continue;
    ++files;
    const std::string text = read_file(entry.path());
    EXPECT_TRUE(is_trt_cache(text)) << name;
    const TrtCache cache = parsed(text);
    EXPECT_EQ(to_text(cache), text) << name;
    // Counted from outside: all lines but the header.
    EXPECT_EQ(cache.scales.size() + 1, static_cast<size_t>(std::count(text.begin(), text.end(), '\n'))) << name;
  }
  EXPECT_EQ(files, 24u);
  EXPECT_FALSE(is_trt_cache(read_file(folder / "notrt_onnxruntime_amax.cache")));
}

TEST_F(RealCaches, know_their_version_and_calibrator) {
  const std::pair<const char*, const char*> cases[] = {
      {"trt5102_entropy2_resnet50_tf.cache", "TensorRT 5.1.2 EntropyCalibration2"},
      {"trt8600_minmax_3dunet.cache", "TensorRT 8.6.0 MinMaxCalibration"},
      {"trt9200_entropy2_dlrmv2.cache", "TensorRT 9.2.0 EntropyCalibration2"},
      {"trt100100_entropy2_dlrmv2.cache", "TensorRT 10.1.0 EntropyCalibration2"},
      {"trt101303_minmax_mpnet_excerpt.cache", "TensorRT 10.13.3 MinMaxCalibration"},
      {"trtpre5_entropy1_numeric_header.bin", "TensorRT (version not stated) EntropyCalibration"},
      {"trt7200_legacy_3dunet.cache", "TensorRT (version not stated) LegacyCalibration"},
  };
  for (const auto& [file, description] : cases) EXPECT_EQ(parsed(read_file(folder / file)).description(), description);
  const TrtCache legacy = parsed(read_file(folder / "trt7203_legacy_resnet50_q999966.cache"));
  EXPECT_EQ(legacy.regression_cutoff, 1.0);
  EXPECT_EQ(legacy.quantile, 0.999966);
}

TEST_F(RealCaches, keep_odd_names_and_values) {
  const TrtCache tf = parsed(read_file(folder / "trt5102_entropy2_resnet50_tf.cache"));
  EXPECT_GE(std::count_if(tf.scales.begin(), tf.scales.end(), [](const TrtScale& s) { return s.name.ends_with(":0"); }),
            126);
  const TrtCache ssd = parsed(read_file(folder / "trt6001_entropy2_ssd_mobilenet.cache"));
  EXPECT_GT(
      std::count_if(ssd.scales.begin(), ssd.scales.end(), [](const TrtScale& s) { return s.scale == 6.0f / 127; }), 10);
  const TrtCache broken = parsed(read_file(folder / "trt8501_entropy2_forum.bin"));
  EXPECT_EQ(
      std::count_if(broken.scales.begin(), broken.scales.end(), [](const TrtScale& s) { return std::isinf(s.scale); }),
      70);
  const TrtCache tiny = parsed(read_file(folder / "trt7203_entropy2_ssd300_tf2onnx.cache"));
  EXPECT_FLOAT_EQ(scale_of(tiny, "(Unnamed Layer* 37) [Constant]_output"), 7.8759385e-15f);
  EXPECT_EQ(scale_of(parsed(read_file(folder / "trt7200_minmax_rnnt.cache")), "one_constant"), 1.0f / 127);
}

TEST(TrtCache, takes_the_bits_of_a_scale_as_one_unpadded_number) {
  const TrtCache cache = parsed("TRT-8003-EntropyCalibration2\na: 3c010204\nb: 0\nc: 1\nd: 0x3C010204\n");
  EXPECT_EQ(cache.scales[0].scale, 1.0f / 127);
  EXPECT_EQ(cache.scales[1].scale, 0.0f);
  EXPECT_EQ(cache.scales[2].scale, std::bit_cast<float>(1u));
  EXPECT_EQ(cache.scales[3].scale, 1.0f / 127);
  EXPECT_EQ(to_text(cache), "TRT-8003-EntropyCalibration2\na: 3c010204\nb: 0\nc: 1\nd: 3c010204\n");
}

TEST(TrtCache, splits_at_the_last_colon_and_never_trims_a_name) {
  const std::string text = "TRT-7203-MinMaxCalibration\nRelu_1:0: 3f800000\n Query: x : 3f800000\nonnx::M: 3f800000\n";
  const TrtCache cache = parsed(text);
  EXPECT_EQ(cache.scales[0].name, "Relu_1:0");
  EXPECT_EQ(cache.scales[1].name, " Query: x ");
  EXPECT_EQ(cache.scales[2].name, "onnx::M");
  EXPECT_EQ(to_text(cache), text);
}

TEST(TrtCache, tolerates_and_notes_what_editors_leave) {
  EXPECT_EQ(to_text(parsed("TRT-1-EntropyCalibration\r\na: 1\r\n")), "TRT-1-EntropyCalibration\r\na: 1\r\n");
  EXPECT_EQ(to_text(parsed("TRT-1-EntropyCalibration\na: 1")), "TRT-1-EntropyCalibration\na: 1");
  EXPECT_EQ(to_text(parsed("TRT-1-EntropyCalibration")), "TRT-1-EntropyCalibration");
  const TrtCache messy = parsed("\xef\xbb\xbfTRT-8XXX-EntropyCalibration2\n\na: 1\r\na: 2\n  \n");
  EXPECT_EQ(messy.version, "8XXX");
  EXPECT_EQ(messy.description(), "TensorRT 8XXX EntropyCalibration2");
  EXPECT_THAT(messy.notes,
              ElementsAre("a byte-order mark in front was dropped", "'a' occurs twice; its last line counts",
                          "2 blank lines were dropped", "lines end in LF and in CR LF"));
}

TEST(TrtCache, says_which_line_is_wrong) {
  EXPECT_THAT(error_of(""), HasSubstr("line 1: '' is not a header"));
  EXPECT_THAT(error_of("TRT-8003-SomeCalibration\n"), HasSubstr("line 1: 'TRT-8003-SomeCalibration' is not a header"));
  EXPECT_THAT(error_of("0 3ff0000000000000 7ff8000000000000\n"), HasSubstr("is not a header"));
  const std::string head = "TRT-8003-EntropyCalibration2\na: 1\n";
  EXPECT_THAT(error_of(head + "b 3f800000\n"), HasSubstr("line 3: 'b 3f800000' is not 'NAME: HEX'"));
  EXPECT_THAT(error_of(head + "b: 3f8000000\n"),
              HasSubstr("the scale of 'b' is ' 3f8000000', expected the 1 to 8 hex"));
  EXPECT_THAT(error_of(head + "b: 0.5\n"), HasSubstr("expected the 1 to 8 hex digits"));
  EXPECT_THAT(error_of(head + "b:\n"), HasSubstr("expected the 1 to 8 hex digits"));
  EXPECT_THAT(error_of(head + "b: 7fc00000\n"), HasSubstr("line 3: the scale of 'b' is not a number"));
  EXPECT_THAT(error_of(head + "b: bf800000\n"), HasSubstr("line 3: the scale of 'b' is negative"));
  EXPECT_THAT(error_of(head + "b: 80000000\n"), HasSubstr("negative"));
}

TEST(TrtCache, tells_usable_scales) {
  EXPECT_TRUE(is_usable_scale(1e-30f));
  for (const float bad :
       {0.0f, 1e-45f, 1e-38f, 2e30f, std::bit_cast<float>(0x7c010204u), std::bit_cast<float>(0x7f800000u)})
    EXPECT_FALSE(is_usable_scale(bad)) << bad;
}

TEST(TrtCache, survives_damage) {
  const std::string text =
      "\xef\xbb\xbf"
      "0 3ff0000000000000 3fefffeb074a771d\r\na:0: 3f800000\r\nb: 7f800000\n";
  for (size_t i = 0; i <= text.size(); ++i) {
    (void)parse_trt_cache(std::string_view(text).substr(i));
    (void)parse_trt_cache(std::string_view(text).substr(0, i));
  }
}

}  // namespace
}  // namespace octet
