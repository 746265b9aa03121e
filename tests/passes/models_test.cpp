// Real models: what the stages make of them, counted. Reads $OCTET_DATA/models.
#include <cstdlib>

#include "onnx/onnx.h"
#include "passes/pass_test.h"

namespace octet {
namespace {

using Counts = std::map<std::string, int>;

Counts counts_of(const Graph& graph) {
  Counts counts;
  for (const Node& node : graph.nodes) ++counts[std::string(node.op->name)];
  return counts;
}

/// The clean graph of a model of $OCTET_DATA; empty when it cannot be read.
Graph clean_model(const std::string& name) {
  Result<OnnxModel> model = read_onnx(std::string(std::getenv("OCTET_DATA")) + "/models/" + name + ".onnx");
  EXPECT_TRUE(model) << model.error().message;
  return model ? after_stage(Stage::clean, std::move(model->graph)) : Graph{};
}

/// Quantized with ranges of -1..1 everywhere, then fused.
Graph integer_model(const std::string& name) {
  Graph graph = clean_model(name);
  CalibrationTable table;
  for (const std::string& point : calibration_points(graph)) {
    TensorRange row{point, -1.0f, 1.0f, 1, {}};
    row.by_method.fill({1.0f, -1.0f, 1.0f});
    table.tensors.push_back(row);
  }
  Result<QuantizeReport> report = quantize(graph, table, {});
  EXPECT_TRUE(report) << report.error().message;
  return after_stage(Stage::fuse, graph);
}

class Models : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::getenv("OCTET_DATA")) GTEST_SKIP() << "OCTET_DATA is not set";
  }
};

TEST_F(Models, a_residual_network_becomes_integer_layers_only) {
  EXPECT_EQ(
      counts_of(integer_model("resnet18_c10")),
      (Counts{
          {"QuantizeLinear", 1}, {"QuantConv", 20}, {"QuantGlobalAveragePool", 1}, {"Flatten", 1}, {"QuantGemm", 1}}));
}
TEST_F(Models, squeeze_excite_and_hard_swish_stay_in_integers) {
  EXPECT_EQ(counts_of(integer_model("mobilenet_v3_small_c10")), (Counts{{"QuantizeLinear", 1},
                                                                        {"QuantConv", 52},
                                                                        {"QuantGlobalAveragePool", 10},
                                                                        {"QuantMul", 9},
                                                                        {"Flatten", 1},
                                                                        {"QuantGemm", 2}}));
}
TEST_F(Models, silu_written_as_two_nodes_is_part_of_its_convolution) {
  EXPECT_EQ(counts_of(integer_model("efficientnet_b0_c10")), (Counts{{"QuantizeLinear", 1},
                                                                     {"QuantConv", 81},
                                                                     {"QuantGlobalAveragePool", 17},
                                                                     {"QuantMul", 16},
                                                                     {"Flatten", 1},
                                                                     {"QuantGemm", 1}}));
}
TEST_F(Models, concats_and_max_pools_run_on_codes) {
  EXPECT_EQ(counts_of(integer_model("squeezenet1_1_imagenet")), (Counts{{"QuantizeLinear", 1},
                                                                        {"QuantConv", 26},
                                                                        {"Concat", 8},
                                                                        {"MaxPool", 3},
                                                                        {"QuantGlobalAveragePool", 1},
                                                                        {"Flatten", 1}}));
}
TEST_F(Models, batch_norms_and_a_computed_channel_padding_disappear_from_an_untouched_export) {
  EXPECT_EQ(counts_of(clean_model("resnet56_cifar10_bn_pad")), (Counts{{"Conv", 55},
                                                                       {"Relu", 55},
                                                                       {"Add", 27},
                                                                       {"Slice", 4},
                                                                       {"Pad", 2},
                                                                       {"GlobalAveragePool", 1},
                                                                       {"Flatten", 1},
                                                                       {"Gemm", 1}}));
}
TEST_F(Models, a_transformer_has_its_projections_and_attention_in_integers) {
  const Counts counts = counts_of(integer_model("vit_tiny_c10"));
  EXPECT_EQ(counts.at("QuantGemm"), 25);
  EXPECT_EQ(counts.at("QuantMatMul"), 12);
  EXPECT_FALSE(counts.contains("MatMul"));
  EXPECT_EQ(counts.at("LayerNormalization"), 13);
}
TEST_F(Models, a_quantized_export_runs_its_own_codes) {
  // Q/DQ on both sides of the residual adds: executed as written, so the adds are layers of their own.
  EXPECT_EQ(counts_of(after_stage(Stage::fuse, clean_model("mobilenet_v2_imagenet_ort_qdq"))),
            (Counts{{"QuantizeLinear", 1},
                    {"QuantConv", 52},
                    {"QuantAdd", 10},
                    {"QuantGlobalAveragePool", 1},
                    {"Flatten", 1},
                    {"QuantGemm", 1},
                    {"DequantizeLinear", 1}}));
}
TEST_F(Models, fake_quantized_float_weights_become_codes) {
  const Counts counts = counts_of(after_stage(Stage::fuse, clean_model("mobilenet_v2_cifar10_fakequant_qdq")));
  EXPECT_EQ(counts, (Counts{{"QuantizeLinear", 1},
                            {"QuantConv", 52},
                            {"QuantAdd", 10},
                            {"QuantGlobalAveragePool", 1},
                            {"Flatten", 1},
                            {"QuantGemm", 1}}));
}

}  // namespace
}  // namespace octet
