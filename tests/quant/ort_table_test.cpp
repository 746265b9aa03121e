// ONNX Runtime's three forms. The JSON and flatbuffers samples were written by onnxruntime 1.32.0's
// write_calibration_table() for input [-2.25, 2.5], "conv 1:0" [0, 6], neg [-5, 1], tiny [-1e-7, 1.5e-7].
#include "quant/ort_table.h"

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

constexpr std::string_view k_json =
    R"({"CLS": "TensorsData", "data": {"input": {"lowest": -2.25, "highest": 2.5, "CLS": "TensorData"}, )"
    R"("conv 1:0": {"lowest": 0.0, "highest": 6.0, "CLS": "TensorData"}, "neg": {"lowest": -5.0, "highest": 1.0, )"
    R"("CLS": "TensorData"}, "tiny": {"lowest": -1.0000000116860974e-07, "highest": 1.500000053056283e-07, )"
    R"("CLS": "TensorData"}}, "calibration_method": {"CLS": "CalibrationMethod", "value": "CalibrationMethod.MinMax"}})";

const unsigned char k_flatbuffers[] = {
#include "quant/ort_flatbuffers.inc"
};

std::string_view flatbuffers() { return {reinterpret_cast<const char*>(k_flatbuffers), sizeof k_flatbuffers}; }

OrtTable parsed(std::string_view bytes) {
  const std::optional<OrtForm> form = ort_form(bytes);
  EXPECT_TRUE(form);
  const Result<OrtTable> table = parse_ort_table(bytes, form.value_or(OrtForm::text));
  EXPECT_TRUE(table) << (table ? "" : table.error().message);
  return table ? *table : OrtTable{};
}

std::string error_of(std::string_view bytes, OrtForm form) {
  const Result<OrtTable> table = parse_ort_table(bytes, form);
  return table ? "accepted" : table.error().message;
}

TEST(OrtTable, real_text_table_reads_and_writes_back_byte_for_byte) {
  const char* data = std::getenv("OCTET_DATA");
  if (!data) GTEST_SKIP() << "OCTET_DATA is not set";
  std::ifstream in(std::filesystem::path(data) / "caches/notrt_onnxruntime_amax.cache", std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  EXPECT_EQ(ort_form(text.str()), OrtForm::text);
  const OrtTable table = parsed(text.str());
  EXPECT_EQ(table.ranges.size(), 175u);
  EXPECT_EQ(table.ranges[0].name, "data");
  EXPECT_EQ(table.ranges[0].amax, 2.640000104904175);
  EXPECT_EQ(to_bytes(table, OrtForm::text), text.str());
}

TEST(OrtTable, reads_the_json_of_new_and_old_releases) {
  const OrtTable table = parsed(k_json);
  EXPECT_EQ(table.form, OrtForm::json);
  EXPECT_EQ(table.method, "MinMax");
  ASSERT_EQ(table.ranges.size(), 4u);
  EXPECT_EQ(table.ranges[2], (OrtRange{"neg", 5.0, std::pair(-5.0, 1.0)}));
  EXPECT_EQ(parsed(R"({"a": [-5, 1]})").ranges, (std::vector<OrtRange>{{"a", 5.0, std::pair(-5.0, 1.0)}}));
  const OrtTable arrays = parsed(
      R"({"CLS": "TensorsData", "data": {"a": {"CLS": "TensorData", "lowest": {"CLS": "numpy.array", "data": -0.5, )"
      R"("dtype": "float32"}, "highest": {"CLS": "numpy.array", "data": [2.0], "dtype": "float32"}}}})");
  EXPECT_EQ(arrays.ranges, (std::vector<OrtRange>{{"a", 2.0, std::pair(-0.5, 2.0)}}));
}

TEST(OrtTable, json_comes_back_from_json) {
  const OrtTable table = parsed(k_json);
  const OrtTable again = parsed(to_bytes(table, OrtForm::json));
  EXPECT_EQ(again.ranges, table.ranges);
  EXPECT_EQ(again.method, "MinMax");
}

TEST(OrtTable, reads_the_flatbuffers_that_onnx_runtime_wrote) {
  EXPECT_EQ(ort_form(flatbuffers()), OrtForm::flatbuffers);
  const OrtTable table = parsed(flatbuffers());
  std::vector<std::pair<std::string, double>> rows;
  for (const OrtRange& r : table.ranges) rows.emplace_back(r.name, r.amax);
  EXPECT_THAT(rows, ElementsAre(std::pair("conv 1:0", 6.0), std::pair("input", 2.5), std::pair("neg", 1.0),
                                std::pair("tiny", 1.500000053056283e-07)));
  EXPECT_THAT(table.notes, ElementsAre(HasSubstr("without absolute values")));
  EXPECT_EQ(parsed(to_bytes(table, OrtForm::flatbuffers)).ranges, table.ranges);
  EXPECT_EQ(to_bytes(table, OrtForm::text), "conv 1:0 6.0\ninput 2.5\nneg 1.0\ntiny 1.500000053056283e-07\n");
}

TEST(OrtTable, writes_numbers_as_python_does) {
  EXPECT_EQ(python_number(6), "6.0");
  EXPECT_EQ(python_number(0.1), "0.1");
  EXPECT_EQ(python_number(double{0.1f}), "0.10000000149011612");
  EXPECT_EQ(python_number(0.0001), "0.0001");
  EXPECT_EQ(python_number(0.00001), "1e-05");
  EXPECT_EQ(python_number(1e15), "1000000000000000.0");
  EXPECT_EQ(python_number(1e16), "1e+16");
  EXPECT_EQ(python_number(3.4028234663852886e38), "3.4028234663852886e+38");
  EXPECT_EQ(python_number(0), "0.0");
}

TEST(OrtTable, says_what_is_wrong_and_where) {
  EXPECT_THAT(error_of("a 1.5\nb\n", OrtForm::text), HasSubstr("line 2 is not 'NAME AMAX'"));
  EXPECT_THAT(error_of("a nan\n", OrtForm::text), HasSubstr("line 1 is not"));
  EXPECT_THAT(error_of("a -1.5\n", OrtForm::text), HasSubstr("'a' has the negative amax -1.5"));
  EXPECT_THAT(error_of(R"({"a": [1, 0]})", OrtForm::json), HasSubstr("'a': its lowest value is above its highest"));
  EXPECT_THAT(error_of(R"({"a": 3})", OrtForm::json), HasSubstr("'a' has no finite ends"));
  EXPECT_THAT(error_of(R"({"CLS": "TensorsData"})", OrtForm::json), HasSubstr("key 'data' is missing"));
  EXPECT_THAT(error_of("[]", OrtForm::json), HasSubstr("not a JSON object"));
  EXPECT_THAT(error_of("\xff\xff\xff\x7f", OrtForm::flatbuffers), HasSubstr("an offset leads out of the file"));
  EXPECT_EQ(ort_form("hello\n"), std::nullopt);
  EXPECT_EQ(ort_form(""), std::nullopt);
}

TEST(OrtTable, survives_every_wrong_byte) {
  for (size_t i = 0; i < flatbuffers().size(); ++i) {
    std::string damaged(flatbuffers());
    for (const char byte : {'\x00', '\x7f', '\xff', '\x80'}) {
      damaged[i] = byte;
      (void)parse_ort_flatbuffers(damaged);
    }
    (void)parse_ort_flatbuffers(flatbuffers().substr(0, i));
  }
  for (size_t i = 0; i < k_json.size(); i += 3) (void)parse_ort_table(k_json.substr(0, i), OrtForm::json);
}

}  // namespace
}  // namespace octet
