// Small files as exporters and quantizers write them, mended and run by the reference kernels, against ONNX Runtime's
// answers to the file itself (or to the file as it was meant). make_foreign_cases.py writes the cases.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>
#include <sstream>

#include "ir/base64.h"
#include "onnx/onnx.h"
#include "repair/repairing.h"

namespace octet {
namespace {

struct ForeignCase {
  const char* name;
  const char* model;    // base64
  const char* repairs;  // that must have a row, and no other
  const char* answers;  // base64 of f32
  double within;
};

constexpr ForeignCase k_cases[] = {
#include "foreign_cases.inc"
};

/// The input that make_foreign_cases.py feeds: 96 numbers.
Tensor input_of(const Value& value) {
  const Dims dims = known_dims(*value.shape).value_or(Dims{});
  std::vector<float> reals;
  std::vector<uint8_t> codes;
  for (int i = 0; i < 96; ++i) {
    reals.push_back(static_cast<float>((i * 37 + 11) % 101 - 50) / 13.0f);
    codes.push_back(static_cast<uint8_t>((i * 37 + 11) % 256));
  }
  return value.dtype == DType::u8 ? Tensor::from<uint8_t>(DType::u8, dims, codes) : f32_tensor(dims, reals);
}

std::vector<double> first_answer(const Graph& graph) {
  const Value& x = graph.value(graph.inputs.at(0));
  const std::vector<Tensor> outputs = answers(graph, {{x.name, input_of(x)}});
  return outputs.empty() ? std::vector<double>() : to_doubles(outputs[0]);
}

std::vector<float> floats(const char* text) {
  const std::vector<std::byte> bytes = from_base64(text).value();
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

double largest_difference(const std::vector<double>& have, const std::vector<float>& want) {
  double largest = 0;
  for (size_t i = 0; i < want.size(); ++i) largest = std::max(largest, std::abs(have[i] - double{want[i]}));
  return largest;
}

OnnxModel read(const std::vector<std::byte>& bytes, bool verified) {
  const auto kept = std::make_shared<const std::vector<std::byte>>(bytes);
  Result<OnnxModel> model = read_onnx(std::span(*kept), kept, {.verify = verified});
  EXPECT_TRUE(model) << model.error().message;
  return model ? std::move(*model) : OnnxModel{};
}

class Foreign : public testing::TestWithParam<ForeignCase> {};

TEST_P(Foreign, mended_gives_the_answers_of_onnx_runtime) {
  const ForeignCase& each = GetParam();
  Graph graph = read(from_base64(each.model).value(), false).graph;
  const Graph before = graph;
  const Result<std::vector<RepairRow>> rows = repair(graph);
  ASSERT_TRUE(rows) << rows.error().message;
  ASSERT_TRUE(verify(graph)) << verify(graph).error().message;
  std::set<std::string> told;
  for (const RepairRow& row : *rows) told.insert(row.repair);
  std::string names;
  for (const std::string& name : told) names += (names.empty() ? "" : " ") + name;
  EXPECT_EQ(names, each.repairs);
  const std::vector<float> want = floats(each.answers);
  const std::vector<double> have = first_answer(graph);
  ASSERT_EQ(have.size(), want.size());
  EXPECT_LE(largest_difference(have, want), each.within);
  // What calls itself lossless is: the very same numbers, by the same kernels.
  if (std::all_of(rows->begin(), rows->end(), [](const RepairRow& row) { return row.lossless(); })) {
    EXPECT_EQ(first_answer(before), have);
  }
}

TEST_P(Foreign, mended_needs_no_more_and_survives_the_file) {
  Graph graph = read(from_base64(GetParam().model).value(), false).graph;
  ASSERT_TRUE(repair(graph));
  const std::vector<double> have = first_answer(graph);
  const Result<std::vector<RepairRow>> again = repair(graph);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->size(), 0u) << again->front().repair << ": " << again->front().after;
  const Result<std::vector<std::byte>> written = write_onnx(graph);
  ASSERT_TRUE(written) << written.error().message;
  EXPECT_EQ(first_answer(read(*written, true).graph), have);
}

INSTANTIATE_TEST_SUITE_P(Cases, Foreign, testing::ValuesIn(k_cases),
                         [](const auto& tested) { return std::string(tested.param.name); });

}  // namespace
}  // namespace octet
