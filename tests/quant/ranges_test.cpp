#include "quant/ranges.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cfloat>
#include <random>

namespace octet {
namespace {

using testing::HasSubstr;

CalibrationTable small_table() {
  CalibrationTable table;
  table.model_hash = "0123456789abcdef";
  table.data = "photos \"x\"\n";
  table.data_hash = "fedcba9876543210";
  table.preprocess = "resize=256,crop=224x224,rgb,norm=imagenet";
  table.samples = 512;
  table.method = CalibrationMethod::percentile;
  table.percentile = 99.999;
  table.tensors.push_back(
      {"conv1", -0.1f, 3.3f, 12345678901234ull, {{{3.3f, -0.1f, 3.3f}, {2, 0, 2}, {1, -0.1f, 1}, {0.1f, 0, 0.3f}}}});
  table.tensors.push_back({"zeros", 0, 0, 7, {}});
  table.tensors[0].automatic = ChosenRange{0.5f, 0, 0.5f};
  table.tensors[0].automatic_from = "mse";
  table.tensors[0].channels = ChannelRanges{1, {-1, 0}, {0, 0.1f}};
  table.octet_version = "0.1.0";
  table.uncalibrated = true;
  table.bins = 8192;
  table.target = "tensorrt";
  return table;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

void expect_refused(const std::string& from, const std::string& to, const std::string& message) {
  const Result<CalibrationTable> read = ranges_from_json(replaced(to_json(small_table()), from, to));
  ASSERT_FALSE(read) << to;
  EXPECT_THAT(read.error().message, HasSubstr(message));
}

TEST(RangesTable, comes_back_from_json_to_the_last_bit) {
  std::mt19937 random(1);
  CalibrationTable table = small_table();
  const auto number = [&] { return std::ldexp(static_cast<float>(random()), static_cast<int>(random() % 90) - 100); };
  for (int i = 0; i < 200; ++i) {
    TensorRange t;
    t.name = "t" + std::to_string(i);
    t.max = number();
    t.count = random();
    for (ChosenRange& r : t.by_method) r = {number(), -number(), number()};
    table.tensors.push_back(t);
  }
  table.tensors.push_back(
      {"extreme", -FLT_MAX, FLT_MAX, ~uint64_t{0}, {{{FLT_MAX, -FLT_TRUE_MIN, FLT_TRUE_MIN}, {}, {}, {}}}});
  const Result<CalibrationTable> read = ranges_from_json(to_json(table));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(to_json(*read), to_json(table));
  EXPECT_EQ(read->tensors, table.tensors);
  EXPECT_EQ(read->data, table.data);
  EXPECT_EQ(read->samples, 512);
  EXPECT_EQ(read->method, CalibrationMethod::percentile);
  EXPECT_EQ(read->percentile, 99.999);
  EXPECT_TRUE(read->uncalibrated);
}

TEST(RangesTable, reads_version_1_which_had_fewer_keys) {
  std::string text = to_json(small_table());
  text = replaced(text, "\"version\": 2", "\"version\": 1");
  for (const char* line : {"  \"bins\": 8192,\n", "  \"octet_version\": \"0.1.0\",\n", "  \"source\": \"\",\n",
                           "  \"uncalibrated\": true,\n", "  \"forced\": \"\",\n", "  \"target\": \"tensorrt\",\n"})
    text = replaced(text, line, "");
  const Result<CalibrationTable> read = ranges_from_json(text);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->tensors, small_table().tensors);
  EXPECT_FALSE(read->uncalibrated);
  EXPECT_EQ(read->octet_version, "");
}

TEST(RangesTable, can_be_written_by_hand_without_bits) {
  const std::string bits = ", \"bits\": [\"3dcccccd\", \"00000000\", \"3e99999a\"]";  // 0.1f, 0, 0.3f
  const Result<CalibrationTable> read = ranges_from_json(replaced(to_json(small_table()), bits, ""));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->tensors[0].range(CalibrationMethod::mse), (ChosenRange{0.1f, 0, 0.3f}));
}

TEST(RangesTable, says_what_is_wrong_and_where) {
  expect_refused("\"amax\": 0.1", "\"amux\": 0.1", "tensors[0] 'conv1' method 'mse': key 'amax' is missing");
  expect_refused("\"amax\": 0.1", "\"amax\": \"0.1\"", "'amax' must be a number");
  expect_refused("\"amax\": 0.1", "\"amax\": 0.25", "remove 'bits'");
  expect_refused("\"amax\": 0.1", "\"amax\": 1e60", "does not fit a float");
  expect_refused("\"3dcccccd\"", "\"3dcccccg\"", "not 8 hex digits");
  expect_refused("\"zeros\"", "\"conv1\"", "tensor 'conv1' occurs twice");
  expect_refused("\"percentile\": 99.999", "\"percentile\": 101", "'percentile' must lie in [0, 100]");
  expect_refused("\"method\": \"percentile\"", "\"method\": \"median\"", "method 'median' is not known");
  expect_refused("\"version\": 2", "\"version\": 3", "version 3 is not known");
  expect_refused("\"uncalibrated\": true", "\"uncalibrated\": 1", "'uncalibrated' must be true or false");
  expect_refused("\"axis\": 1, \"min\": [-1, 0]", "\"axis\": 1, \"min\": [0]", "'min' and 'max' differ in length");
  expect_refused("\"from\": \"mse\"", "\"form\": \"mse\"", "method 'auto': key 'from' is missing");
  expect_refused("octet-ranges", "other", "'format' is 'other'");
  expect_refused("\"samples\": 512", "\"samples\": -1", "'samples' must be a whole number >= 0");
  expect_refused("\"tensors\"", "\"tensers\"", "key 'tensors' is missing");
  expect_refused("{", "[", "not JSON");
}

TEST(RangesTable, refuses_ranges_that_leave_out_zero) {
  CalibrationTable table = small_table();
  table.tensors[0].by_method[0] = {1, 0.5f, 1};
  EXPECT_THAT(ranges_from_json(to_json(table)).error().message, HasSubstr("'lo' <= 0 <= 'hi'"));
  table.tensors[0].by_method[0] = {-1, 0, 1};
  EXPECT_THAT(ranges_from_json(to_json(table)).error().message, HasSubstr("'amax' is negative"));
  table.tensors[0].by_method[0] = {};
  table.tensors[0].min = 9;
  EXPECT_THAT(ranges_from_json(to_json(table)).error().message, HasSubstr("'min' is above 'max'"));
}

TEST(RangesTable, survives_damage) {
  const std::string text = to_json(small_table());
  for (size_t i = 0; i < text.size(); i += 3) (void)ranges_from_json(std::string_view(text).substr(0, i));
  for (const char* odd : {"", "null", "3", "[]", "{}", "{\"format\": 3}", "\xff\xfe"})
    EXPECT_FALSE(ranges_from_json(odd));
}

TEST(RangesTable, finds_a_tensor_by_name) {
  const CalibrationTable table = small_table();
  ASSERT_TRUE(table.find("zeros"));
  EXPECT_EQ(table.find("zeros")->count, 7u);
  EXPECT_FALSE(table.find("conv2"));
}

TEST(CalibrationMethodNames, go_both_ways) {
  for (const CalibrationMethod method : k_calibration_methods)
    EXPECT_EQ(calibration_method_from_name(name(method)), method);
  EXPECT_FALSE(calibration_method_from_name("median"));
}

}  // namespace
}  // namespace octet
