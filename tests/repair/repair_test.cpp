// All repairs together: order, names, idempotence, real files.
#include <algorithm>
#include <cstdlib>

#include "base/file.h"
#include "onnx/onnx.h"
#include "repair/repairing.h"

namespace octet {
namespace {

TEST(Repair, an_unknown_name_is_refused_with_the_known_ones) {
  Graph graph = broken("graph (x: f32[2]) -> (y) { y = Relu(x) }");
  const Result<std::vector<RepairRow>> rows = repair(graph, {.skip = {"polish"}, .float_biases = false});
  ASSERT_FALSE(rows);
  EXPECT_THAT(rows.error().message,
              ::testing::StartsWith("there is no repair called 'polish'; the repairs are written_dequantize, "));
}

TEST(Repair, a_float_graph_stays) {
  const char* const text =
      R"(graph (x: f32[N,2]) -> (y) { const w: f32[3,2] = {1,2,3,4,5,6} const b: f32[3] = {1,2,3} g = Gemm(x, w, b, transB=1) y = Relu(g) })";
  Graph graph = broken(text);
  const Result<std::vector<RepairRow>> rows = repair(graph);
  ASSERT_TRUE(rows);
  EXPECT_TRUE(rows->empty());
  EXPECT_EQ(print(graph), print(broken(text)));
}

// TensorRT takes float biases (R20): of a bias on a grid of its own it gets the numbers, not those of the layer's grid.
TEST(Repair, float_biases_are_the_numbers_of_the_file) {
  Graph graph = broken(R"(graph (x: f32[1,2]) -> (y) { const s: f32[] = {0.5} const z: s8[] = {0}
      const w: s8[2,2] = {1,2,3,4} const b: s32[2] = {3,-5} const bs: f32[] = {0.3} q = QuantizeLinear(x, s, z)
      d = DequantizeLinear(q, s, z) e = DequantizeLinear(w, s, z) c = DequantizeLinear(b, bs) g = Gemm(d, e, c) @fc
      p = QuantizeLinear(g, s, z) y = DequantizeLinear(p, s, z) })");
  const Result<std::vector<RepairRow>> rows = repair(graph, {.skip = {}, .float_biases = true});
  ASSERT_TRUE(rows) << rows.error().message;
  const auto gemm =
      std::find_if(graph.nodes.begin(), graph.nodes.end(), [](const Node& n) { return is_op(n, "Gemm"); });
  ASSERT_NE(gemm, graph.nodes.end());
  const Tensor* bias = graph.constant(gemm->inputs[2]);
  ASSERT_TRUE(bias);
  EXPECT_EQ(bias->at<float>(0), 3 * 0.3f);
  EXPECT_EQ(bias->at<float>(1), -5 * 0.3f);
  for (const RepairRow& row : *rows) EXPECT_TRUE(row.lossless()) << row.repair << ": " << row.change;
}

// What octet repair writes for other engines: a float bias that ONNX Runtime would put on the grid 0.25 stands apart.
TEST(Repair, bias_additions_put_a_float_bias_off_the_grid_behind_its_convolution) {
  const auto text = [](const std::string& bias, const std::string& rest) {
    return R"(graph (x: f32[1,2,3,3]) -> (y) { const s: f32[] = {0.5} const z: s8[] = {0} const w: s8[2,2,1,1] = {1,2,3,4}
      const wz: s8[2] = {0,0} const b: f32[2] = {)" +
           bias + R"(} const ws: f32[2] = {0.5, 0.25} q = QuantizeLinear(x, s, z)
      d = DequantizeLinear(q, s, z) e = DequantizeLinear(w, ws, wz, axis=0) c = Conv(d, e, b) @conv )" +
           rest + "}";
  };
  const std::string relu = "r = Relu(c) p = QuantizeLinear(r, s, z) y = DequantizeLinear(p, s, z)";
  Graph graph = broken(text("0.3, 0.0625", relu));
  const Result<std::vector<RepairRow>> rows = add_biases_behind(graph);
  ASSERT_TRUE(rows) << rows.error().message;
  ASSERT_EQ(rows->size(), 1u);
  EXPECT_EQ(rows->front().repair, "bias_additions");
  EXPECT_EQ(rows->front().node, "conv");
  EXPECT_TRUE(rows->front().lossless());
  EXPECT_THAT(print(graph), testing::AllOf(testing::HasSubstr("const b_added: f32[1,2,1,1] = {0.3, 0.0625}"),
                                           testing::HasSubstr("c_products = Conv(d, e) @conv"),
                                           testing::HasSubstr("c = Add(c_products, b_added)")));
  ASSERT_TRUE(verify(graph)) << print(graph);
  expect_same_answers(text("0.3, 0.0625", relu), graph, {1, 2, 3, 3}, 30.0f);
  const Result<std::vector<RepairRow>> again = add_biases_behind(graph);
  EXPECT_TRUE(again && again->empty());
  // The weight scale of a dead channel: the bias is 7e9 steps, which no int32 holds.
  std::string dead = text("3.5, 0.125", relu);
  dead.replace(dead.find("{0.5, 0.25}"), 11, "{1e-9, 0.25}");
  Graph of_dead = broken(dead);
  const Result<std::vector<RepairRow>> apart = add_biases_behind(of_dead);
  EXPECT_TRUE(apart && apart->size() == 1);
  // A bias that is no number stays where it is, and is told.
  Graph broken_bias = broken(text("0.3, nan", relu));
  std::vector<std::string> notes;
  const Result<std::vector<RepairRow>> no_edit = repair(broken_bias, {}, &notes);
  EXPECT_TRUE(no_edit && no_edit->empty() && add_biases_behind(broken_bias)->empty());
  EXPECT_THAT(notes,
              testing::ElementsAre("node 'conv' (Conv): its bias holds a number that is not finite, so the layer "
                                   "runs in float and hands it on"));
  // An infinite one saturates, as an Add too: y is 127 * 0.5 in its channel, whatever the rest is.
  Graph of_infinite = broken(text("0.3, inf", relu));
  const Result<std::vector<RepairRow>> saturated = add_biases_behind(of_infinite);
  EXPECT_TRUE(saturated && saturated->size() == 1);
  EXPECT_THAT(print(of_infinite), testing::HasSubstr("c = Add(c_products, b_added)"));
  const std::vector<double> y =
      to_doubles(answers(of_infinite, {{"x", f32_tensor({1, 2, 3, 3}, std::vector<float>(18, 1.0f))}}).at(0));
  for (size_t i = 9; i < 18; ++i) EXPECT_EQ(y.at(i), 63.5);
  // On the grid (0.25 and 0.125); nothing quantized behind it.
  for (const std::string& same : {text("0.75, -0.125", relu), text("0.3, 0.0625", "y = Sigmoid(c)")}) {
    Graph stays = broken(same);
    const Result<std::vector<RepairRow>> none = add_biases_behind(stays);
    EXPECT_TRUE(none && none->empty()) << print(stays);
  }
  // Not at import; the name is known to those that are skipped.
  Graph imported = broken(text("0.3, 0.0625", relu));
  const Result<std::vector<RepairRow>> none = repair(imported, {.skip = {"bias_additions"}});
  EXPECT_TRUE(none && none->empty());
}

// Pairs that unsigned_128 makes equal go at once: a second run finds nothing.
TEST(Repair, pairs_of_u8_around_128_and_of_s8_become_one_in_one_run) {
  const std::string head =
      "graph (x: f32[N,4]) -> (y) { const s: f32[] = {0.5} const z: s8[] = {0} const u: u8[] = {128} ";
  for (const std::string pairs : {"a = QuantizeLinear(x, s, u) b = DequantizeLinear(a, s, u) "
                                  "c = QuantizeLinear(b, s, z) y = DequantizeLinear(c, s, z) }",
                                  "a = QuantizeLinear(x, s, z) b = DequantizeLinear(a, s, z) "
                                  "c = QuantizeLinear(b, s, u) y = DequantizeLinear(c, s, u) }"}) {
    Graph graph = broken(head + pairs);
    const Result<std::vector<RepairRow>> rows = repair(graph);
    ASSERT_TRUE(rows) << rows.error().message;
    EXPECT_EQ(graph.nodes.size(), 2u) << print(graph);
    for (const RepairRow& row : *rows) EXPECT_TRUE(row.lossless()) << row.repair;
    expect_same_answers(head + pairs, graph, {20, 4}, 100.0f);
    const Result<std::vector<RepairRow>> again = repair(graph);
    EXPECT_TRUE(again && again->empty());
  }
}

class RealFiles : public testing::TestWithParam<const char*> {};

TEST_P(RealFiles, are_mended_once_and_for_all) {
  const char* root = std::getenv("OCTET_DATA");
  if (!root) GTEST_SKIP() << "OCTET_DATA is not set";
  Result<OnnxModel> model = read_onnx(std::string(root) + "/models/" + GetParam() + ".onnx", {.verify = false});
  ASSERT_TRUE(model) << model.error().message;
  ASSERT_TRUE(repair(model->graph));
  const Result<Done> ok = verify(model->graph);
  ASSERT_TRUE(ok) << ok.error().message;
  const std::string once = print(model->graph, {.elide_constants = true});
  const Result<std::vector<RepairRow>> again = repair(model->graph);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->size(), 0u) << again->front().repair << " " << again->front().node;
  EXPECT_EQ(print(model->graph, {.elide_constants = true}), once);
}

INSTANTIATE_TEST_SUITE_P(Models, RealFiles,
                         testing::Values("resnet18_cifar10_eager_int8", "mobilenet_v2_cifar10_fakequant_qdq",
                                         "mobilenet_v2_cifar10_int8_qlinear", "resnet20_cifar10_ort_qdq_s8",
                                         "mobilenet_v2_imagenet_ort_qdq"),
                         [](const auto& tested) { return std::string(tested.param); });

}  // namespace
}  // namespace octet
