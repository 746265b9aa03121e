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
  const Result<std::vector<RepairRow>> rows = repair_for_writing(graph);
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
  const Result<std::vector<RepairRow>> again = repair_for_writing(graph);
  EXPECT_TRUE(again && again->empty());
  // The weight scale of a dead channel: the bias is 7e9 steps, which no int32 holds.
  std::string dead = text("3.5, 0.125", relu);
  dead.replace(dead.find("{0.5, 0.25}"), 11, "{1e-9, 0.25}");
  Graph of_dead = broken(dead);
  const Result<std::vector<RepairRow>> apart = repair_for_writing(of_dead);
  EXPECT_TRUE(apart && apart->size() == 1);
  // A bias with a NaN is told to all who run it, and the edit is not called lossless.
  Graph with_nan = broken(text("0.3, nan", relu));
  std::vector<std::string> notes, undefined;
  const Result<std::vector<RepairRow>> no_edit = repair(with_nan, {}, &notes, &undefined);
  EXPECT_TRUE(no_edit && no_edit->empty());
  EXPECT_EQ(notes, undefined);
  EXPECT_THAT(undefined, testing::ElementsAre(testing::HasSubstr("node 'conv' (Conv): its bias holds a NaN")));
  const Result<std::vector<RepairRow>> nan_apart = repair_for_writing(with_nan);
  ASSERT_TRUE(nan_apart && nan_apart->size() == 1);
  EXPECT_FALSE(nan_apart->front().lossless());
  // An infinite one saturates, as an Add too: y is 127 * 0.5 in its channel, whatever the rest is.
  Graph of_infinite = broken(text("0.3, inf", relu));
  const Result<std::vector<RepairRow>> saturated = repair_for_writing(of_infinite);
  EXPECT_TRUE(saturated && saturated->size() == 1);
  EXPECT_THAT(print(of_infinite), testing::HasSubstr("c = Add(c_products, b_added)"));
  const std::vector<double> y =
      to_doubles(answers(of_infinite, {{"x", f32_tensor({1, 2, 3, 3}, std::vector<float>(18, 1.0f))}}).at(0));
  for (size_t i = 9; i < 18; ++i) EXPECT_EQ(y.at(i), 63.5);
  // On the grid (0.25 and 0.125); nothing quantized behind it.
  for (const std::string& same : {text("0.75, -0.125", relu), text("0.3, 0.0625", "y = Sigmoid(c)")}) {
    Graph stays = broken(same);
    const Result<std::vector<RepairRow>> none = repair_for_writing(stays);
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

/// x [N,2] s8 at 0.5, w [2,3] s8 at 0.5, 0.25, 0.3 by column, `gemm` makes c of d and e, codes of scale 1 behind it.
std::string gemm_net(const std::string& gemm, const std::string& bias = "f32[3] = {0.25, -1, 2}") {
  return "graph (x: f32[N,2]) -> (y) { const s: f32[] = {0.5} const o: f32[] = {1} const z: s8[] = {0} const zw: s8[3] "
         "= "
         "{0,0,0} const w: s8[2,3] = {1,2,3,4,5,6} const ws: f32[3] = {0.5, 0.25, 0.3} const b: " +
         bias + " q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) e = DequantizeLinear(w, ws, zw, axis=1) " +
         gemm + " p = QuantizeLinear(c, o, z) y = DequantizeLinear(p, o, z) }";
}

// Powers of two go into the scales and the bias without any change; then nothing tells the layer from a plain one.
TEST(Repair, factors_of_a_gemm_in_codes_go_into_its_scales_and_its_bias) {
  const std::string text = gemm_net("c = Gemm(d, e, b, alpha=2.0, beta=0.5) @fc");
  const MendedGraph made = mended("gemm_factors", text);
  ASSERT_EQ(made.rows.size(), 1u);
  EXPECT_EQ(made.rows[0].node, "fc");
  EXPECT_EQ(made.rows[0].before, "alpha 2, beta 0.5");
  EXPECT_TRUE(made.rows[0].lossless());
  EXPECT_THAT(shown(made.graph), testing::AllOf(testing::HasSubstr("f32[3] = {1, 0.5, 0.6}"),
                                                testing::HasSubstr("f32[3] = {0.125, -0.5, 1}"),
                                                testing::HasSubstr("c = Gemm(d, e_scaled, b_vector) @fc")));
  expect_same_answers(text, made.graph, {20, 2}, 60.0f);
  // 1/3 is no power of two: told. A bias of one number, and one of a row, are vectors.
  EXPECT_FALSE(mended("gemm_factors", gemm_net("c = Gemm(d, e, b, alpha=0.3333333)")).rows.at(0).lossless());
  const MendedGraph one = mended("gemm_factors", gemm_net("c = Gemm(d, e, b)", "f32[] = {3}"));
  EXPECT_THAT(shown(one.graph), testing::HasSubstr("f32[3] = {3, 3, 3}"));
  EXPECT_THAT(shown(mended("gemm_factors", gemm_net("c = Gemm(d, e, b, beta=3.0)", "f32[1,3] = {1, 2, 3}")).graph),
              testing::HasSubstr("f32[3] = {3, 6, 9}"));
  // Codes likewise: one for all columns becomes three.
  const std::string codes = "s32[1] = {7} const bs: f32[] = {0.5}",
                    gemm = "v = DequantizeLinear(b, bs) c = Gemm(d, e, v)";
  const MendedGraph of_codes = mended("gemm_factors", gemm_net(gemm, codes));
  EXPECT_THAT(shown(of_codes.graph), testing::HasSubstr("s32[3] = {7, 7, 7}"));
  expect_same_answers(gemm_net(gemm, codes), of_codes.graph, {20, 2}, 60.0f);
  // A negative alpha has no scale, one that is no number no meaning; a bias for each row stays with its beta.
  expect_untouched("gemm_factors", gemm_net("c = Gemm(d, e, b, alpha=-2.0)"));
  expect_untouched("gemm_factors", gemm_net("c = Gemm(d, e, b, alpha=inf)"));
  expect_untouched("gemm_factors", gemm_net("c = Gemm(d, e, b, beta=2.0)", "f32[2,1] = {1, 2}"));
  EXPECT_THAT(
      shown(mended("gemm_factors", gemm_net("c = Gemm(d, e, b, alpha=2.0, beta=3.0)", "f32[2,1] = {1, 2}")).graph),
      testing::HasSubstr("c = Gemm(d, e_scaled, b, beta=3"));
}

// [N, 1] goes along the rows, also where there are N of them.
TEST(Repair, a_bias_along_the_rows_is_none_of_the_channels) {
  std::string text = gemm_net("c = Gemm(d, e, b) @fc", "f32[3,1] = {40.1, -40.2, 0.3}");
  text.replace(text.find("f32[N,2]"), 8, "f32[3,2]");
  Graph graph = broken(text);
  const Result<std::vector<RepairRow>> none = repair(graph), apart = repair_for_writing(graph);
  EXPECT_TRUE(none && none->empty() && apart && apart->size() == 1);
  expect_same_answers(text, graph, {3, 2}, 60.0f);
}

// What no int32 holds and what keeps its factors stands behind a Gemm too, in the file for other engines.
TEST(Repair, bias_additions_put_a_bias_beyond_int32_and_one_with_factors_behind_its_gemm) {
  for (const std::string& text :
       {gemm_net("c = Gemm(d, e, b) @fc", "f32[3] = {1e9, 0.3, 2}"), gemm_net("c = Gemm(d, e, b, alpha=-2.0) @fc")}) {
    Graph graph = broken(text);
    const Result<std::vector<RepairRow>> none = repair(graph);
    EXPECT_TRUE(none && none->empty());
    const Result<std::vector<RepairRow>> rows = repair_for_writing(graph);
    ASSERT_TRUE(rows && rows->size() == 1u);
    EXPECT_TRUE(rows->front().lossless());
    EXPECT_THAT(print(graph), testing::HasSubstr("c = Add(c_products, b_added)"));
    EXPECT_THAT(print(graph), testing::Not(testing::HasSubstr("beta")));
    expect_same_answers(text, graph, {20, 2}, 60.0f);
    const Result<std::vector<RepairRow>> again = repair(graph), written = repair_for_writing(graph);
    EXPECT_TRUE(again && again->empty() && written && written->empty());
  }
  Graph skipped = broken(gemm_net("c = Gemm(d, e, b)", "f32[3] = {1e9, 0.3, 2}"));
  EXPECT_TRUE(repair_for_writing(skipped, {"bias_additions"})->empty());
}

// How many numbers are not 0 is a matter of the numbers, and what a count is made of too.
TEST(Repair, extents_that_follow_from_codes_hold_them_back) {
  const std::string head =
      "graph (x: f32[1,4]) -> (y) { const s: f32[] = {0.5} const u: u8[] = {128} a = QuantizeLinear(x, s, u) "
      "d = DequantizeLinear(a, s, u) ";
  for (const std::string rest : {"o = NonZero(a) n = Size(o) f = Cast(n, to=\"f32\") y = Add(d, f) }",
                                 "i = Cast(a, to=\"s64\") j = Squeeze(i) o = ConstantOfShape(j) n = Size(o) "
                                 "f = Cast(n, to=\"f32\") y = Add(d, f) }"}) {
    Graph graph = broken(head + rest);
    std::vector<std::string> notes;
    const Result<std::vector<RepairRow>> rows = repair(graph, {}, &notes);
    ASSERT_TRUE(rows) << rows.error().message;
    EXPECT_TRUE(rows->empty());
    EXPECT_THAT(notes, testing::ElementsAre(testing::HasSubstr("keep u8 zero point 128")));
  }
}

// Only extents are asked of the Cast, the comparison and the fill: they do not hold the codes back, and the second run
// finds nothing.
TEST(Repair, extents_asked_through_other_nodes_do_not_hold_codes_back) {
  const std::string head =
      "graph (x: f32[N,4]) -> (y) { const s: f32[] = {0.5} const u: u8[] = {128} const k: u8[1,4] = {1,2,3,4} "
      "a = QuantizeLinear(x, s, u) ";
  for (const std::string rest :
       {"c = Cast(a, to=\"f32\") h = Shape(c) d = DequantizeLinear(a, s, u) y = Reshape(d, h) }",
        "c = Equal(a, k) n = Size(c) f = Cast(n, to=\"f32\") d = DequantizeLinear(a, s, u) y = Add(d, f) }",
        "h = Shape(a) c = ConstantOfShape(h, value=tensor(u8[1], {200})) e = Concat(a, c, axis=1) y = "
        "DequantizeLinear(e, s, u) }",
        "h = Shape(a) c = Expand(k, h) e = Concat(a, c, axis=1) y = DequantizeLinear(e, s, u) }"}) {
    Graph graph = broken(head + rest);
    std::vector<std::string> notes;
    const Result<std::vector<RepairRow>> rows = repair(graph, {}, &notes);
    ASSERT_TRUE(rows) << rows.error().message;
    EXPECT_FALSE(rows->empty()) << rest;
    EXPECT_TRUE(notes.empty()) << notes.front();
    ASSERT_TRUE(verify(graph)) << verify(graph).error().message << print(graph);
    expect_same_answers(head + rest, graph, {3, 4}, 80.0f);
    const Result<std::vector<RepairRow>> again = repair(graph);
    EXPECT_TRUE(again && again->empty()) << print(graph);
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
