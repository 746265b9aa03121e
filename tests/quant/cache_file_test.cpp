// Which file is which, how a foreign cache and a network meet, and when it is refused.
#include "quant/cache_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace octet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<ForeignRange> rows(const std::vector<std::pair<std::string, float>>& scales) {
  TrtCache cache;
  for (const auto& [name, scale] : scales) cache.scales.push_back({name, scale});
  return foreign_ranges(cache);
}

CalibrationTable table() {
  CalibrationTable t;
  TensorRange a{"a", -1, 3, 8, {{{3, -1, 3}, {2, -1, 2}, {2.5f, -1, 2.5f}, {2.75f, -0.5f, 2.75f}}}};
  t.tensors = {a, {"dead", 0, 0, 8, {}}};
  return t;
}

TEST(CacheFormats, are_told_by_the_first_bytes) {
  const std::pair<std::string, CacheFormat> cases[] = {
      {"TRT-8003-EntropyCalibration2\n", CacheFormat::tensorrt},
      {"1\na: 3f800000\n", CacheFormat::tensorrt},
      {"0 3ff0000000000000 3fefffeb074a771d\n", CacheFormat::tensorrt},
      {to_json(table()), CacheFormat::octet},
      {"{\"a\": [0, 1]}", CacheFormat::ort_json},
      {"a b 1.5\n", CacheFormat::ort_text},
      {to_bytes(ort_table(table(), CalibrationMethod::max), OrtForm::flatbuffers), CacheFormat::ort_flatbuffers},
  };
  for (const auto& [bytes, format] : cases) {
    const Result<CacheFormat> found = detect_cache_format(bytes);
    ASSERT_TRUE(found) << bytes;
    EXPECT_EQ(name(*found), name(format));
    EXPECT_EQ(cache_format_from_name(name(format)), format);
    EXPECT_TRUE(parse_cache(bytes));
  }
  for (const char* other : {"", "PK\x03\x04", "hello world\n"})
    EXPECT_THAT(detect_cache_format(other).error().message, HasSubstr("not a calibration cache; octet reads")) << other;
}

TEST(CacheFit, counts_what_matches_and_what_does_not) {
  const CacheFit fit = fit_cache(rows({{"in", 1}, {"a", 2}, {"(Unnamed Layer* 3) [Shuffle]_output", 1}, {"b", 1}}),
                                 {"in", "a", "b", "c"}, {"in"});
  EXPECT_EQ(fit.matched, 3);
  EXPECT_THAT(fit.missing, ElementsAre("c"));
  EXPECT_THAT(fit.unmatched, ElementsAre("(Unnamed Layer* 3) [Shuffle]_output"));
  EXPECT_EQ(fit.refusal, "");
}

TEST(CacheFit, refuses_a_cache_of_another_network_and_a_broken_one) {
  EXPECT_THAT(fit_cache(rows({{"x", 1}}), {"a"}, {}).refusal,
              HasSubstr("none of its 1 names is a tensor of this network"));
  EXPECT_THAT(fit_cache(rows({{"a", 1}}), {"a", "b", "c"}, {}).refusal,
              HasSubstr("it lacks ranges for 2 of 3 tensors that the network needs ('b', 'c')"));
  EXPECT_EQ(fit_cache(rows({{"a", 1}, {"b", 1}}), {"a", "b", "c"}, {}).refusal, "");
  std::vector<std::pair<std::string, float>> scales = {{"in", 1.0f}};
  std::vector<std::string> wanted = {"in"};
  for (int i = 0; i < 19; ++i) {
    wanted.push_back("t" + std::to_string(i));
    scales.emplace_back(wanted.back(), i < 3 ? 0.0f : 1.0f);
  }
  EXPECT_THAT(fit_cache(rows(scales), wanted, {"in"}).refusal,
              HasSubstr("calibration cache is broken (3 of 20 scales"));
  scales[1].second = scales[2].second = 1.0f;  // one bad of twenty is tolerated
  EXPECT_EQ(fit_cache(rows(scales), wanted, {"in"}).refusal, "");
  scales[3].second = 1.0f;
  scales[0].second = 0.0f;  // but not where it is the network's input
  EXPECT_THAT(fit_cache(rows(scales), wanted, {"in"}).refusal, HasSubstr("the network's input 'in' is unusable"));
}

TEST(CacheFit, refuses_the_real_broken_cache_with_its_count) {
  const char* data = std::getenv("OCTET_DATA");
  if (!data) GTEST_SKIP() << "OCTET_DATA is not set";
  std::ifstream in(std::filesystem::path(data) / "caches/trt8501_entropy2_forum.bin", std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  const Result<TrtCache> cache = parse_trt_cache(text.str());
  ASSERT_TRUE(cache);
  std::vector<std::string> wanted;
  for (const TrtScale& s : cache->scales) wanted.push_back(s.name);
  const CacheFit fit = fit_cache(foreign_ranges(*cache), wanted, {wanted[0]});
  EXPECT_THAT(fit.refusal, HasSubstr("calibration cache is broken ("));
  EXPECT_GE(fit.unusable.size(), 70u);
}

TEST(CacheRows, take_the_last_line_of_a_name_and_leave_out_unusable_ones) {
  const std::vector<TensorRange> made = rows_from(rows({{"b", 0}, {"a", 1}, {"a", 2}}), {"a", "b", "c"});
  ASSERT_EQ(made.size(), 1u);
  EXPECT_EQ(made[0].name, "a");
  for (const CalibrationMethod m : k_calibration_methods) EXPECT_EQ(made[0].range(m), (ChosenRange{254, 0, 0}));
}

TEST(CacheRows, keep_both_ends_where_the_file_has_them) {
  OrtTable ort;
  ort.ranges = {{"a", 5, std::pair(-5.0, 1.0)}, {"b", 6, std::pair(0.5, 6.0)}};
  const std::vector<TensorRange> made = rows_from(foreign_ranges(ort), {"a", "b"});
  EXPECT_EQ(made[0].range(CalibrationMethod::max), (ChosenRange{5, -5, 1}));
  EXPECT_EQ(made[1].range(CalibrationMethod::max), (ChosenRange{6, 0, 6}));
}

TEST(CacheExport, gives_tensorrt_amax_over_127_and_never_a_zero) {
  const std::vector<TrtScale> scales = trt_scales(table(), CalibrationMethod::entropy);
  EXPECT_EQ(scales[0], (TrtScale{"a", 2.0f / 127}));
  EXPECT_EQ(scales[1], (TrtScale{"dead", 1.0f / 127}));
}

TEST(CacheExport, gives_onnx_runtime_both_ends) {
  const OrtTable ort = ort_table(table(), CalibrationMethod::mse);
  EXPECT_EQ(ort.ranges[0], (OrtRange{"a", 2.75, std::pair(-0.5, 2.75)}));
  EXPECT_EQ(to_bytes(ort, OrtForm::text), "a 2.75\ndead 1.0\n");
}

}  // namespace
}  // namespace octet
