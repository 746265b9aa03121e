// Repairs of what stands around layers: written-out quantization, hidden activations, residual branches.
#include "repair/repairing.h"

namespace octet {
namespace {

using ::testing::HasSubstr;

// ---- output_ranges ----

const std::string k_conv =
    R"(graph (x: s8[N,2,4,4]) -> (y) { const xs: f32[] = {0.5} const w: s8[2,2,1,1] = {1,2,3,4} const ws: f32[] = {0.25}
   d = DequantizeLinear(x, xs) dw = DequantizeLinear(w, ws) )";

TEST(OutputRanges, zero_to_six_is_relu6) {
  expect_mended(
      "output_ranges",
      k_conv +
          R"(const s: f32[] = {0.023529412} const z: u8[] = {0} c = Conv(d, dw) @conv q = QuantizeLinear(c, s, z) y = DequantizeLinear(q, s, z) })",
      k_conv +
          R"(const s: f32[] = {0.023529412} const z: u8[] = {0} const c_low: f32[] = {0} const c_high: f32[] = {6} c = Conv(d, dw) @conv
                   c_relu6 = Clip(c, c_low, c_high) q = QuantizeLinear(c_relu6, s, z) y = DequantizeLinear(q, s, z) })",
      {"conv: output range 0..6 only -> Clip(0, 6) before QuantizeLinear"});
}
TEST(OutputRanges, of_int8_codes_begin_at_minus_128) {
  const MendedGraph made = mended(
      "output_ranges",
      k_conv +
          R"(const s: f32[] = {0.1} const z: s8[] = {-128} c = Conv(d, dw) @conv q = QuantizeLinear(c, s, z) y = DequantizeLinear(q, s, z) })");
  EXPECT_THAT(print(made.graph), HasSubstr("c_relu = Relu(c)"));
  EXPECT_EQ(made.rows.at(0).before, "output range 0..25.5 only");
}
TEST(OutputRanges, below_six_are_relu6_where_another_layer_reaches_six) {
  const std::string text = k_conv + R"(const s: f32[] = {0.023529412} const t: f32[] = {0.01} const z: u8[] = {0}
      c = Conv(d, dw) @c1 q = QuantizeLinear(c, s, z) e = DequantizeLinear(q, s, z)
      f = Conv(e, dw) @c2 p = QuantizeLinear(f, t, z) y = DequantizeLinear(p, t, z) })";
  const MendedGraph made = mended("output_ranges", text);
  ASSERT_EQ(made.rows.size(), 2u);
  EXPECT_EQ(made.rows[1].after, "Clip(0, 6) before QuantizeLinear");
}
TEST(OutputRanges, beside_int8_codes_around_0_may_be_lost_negatives_and_warn) {
  const std::string text =
      R"(graph (x: f32[N,2,4,4], dw: f32[2,2,1,1]) -> (y) { const s: f32[] = {0.1} const z: u8[] = {0} const i: s8[] = {0}
         p = QuantizeLinear(x, s, i) d = DequantizeLinear(p, s, i) c = Conv(d, dw) @conv q = QuantizeLinear(c, s, z)
         y = DequantizeLinear(q, s, z) })";
  const MendedGraph made = mended("output_ranges", text);
  EXPECT_THAT(print(made.graph), HasSubstr("c_relu = Relu(c)"));
  EXPECT_FALSE(made.rows.at(0).lossless());
  EXPECT_THAT(made.rows[0].change, HasSubstr("wrote uint8 for int8"));
}
TEST(OutputRanges, with_an_activation_or_negative_values_stay) {
  expect_untouched(
      "output_ranges",
      k_conv +
          R"(const s: f32[] = {0.1} const z: u8[] = {0} c = Conv(d, dw) r = Relu(c) q = QuantizeLinear(r, s, z) y = DequantizeLinear(q, s, z) })");
  expect_untouched(
      "output_ranges",
      k_conv +
          R"(const s: f32[] = {0.1} const z: u8[] = {1} c = Conv(d, dw) q = QuantizeLinear(c, s, z) y = DequantizeLinear(q, s, z) })");
  expect_untouched(
      "output_ranges",
      k_conv +
          R"(const s: f32[] = {0.1} const z: s8[] = {0} c = Conv(d, dw) q = QuantizeLinear(c, s, z) y = DequantizeLinear(q, s, z) })");
}

// ---- residual_identity ----

const std::string k_block =
    R"(graph (x: f32[N,2,4,4]) -> (y) { const s: f32[] = {0.5} const z: s8[] = {0} const w: s8[2,2,1,1] = {1,2,3,4} const ws: f32[] = {0.25}
   dw = DequantizeLinear(w, ws) )";

TEST(ResidualIdentity, takes_the_codes_that_the_convolution_reads) {
  expect_mended(
      "residual_identity",
      k_block +
          R"(const lo: f32[] = {-64.2} const hi: f32[] = {63.7} t = Clip(x, lo, hi) q = QuantizeLinear(t, s, z) d = DequantizeLinear(q, s, z) c = Conv(d, dw) a = Add(c, t) @add r = Relu(a) p = QuantizeLinear(r, s, z) y = DequantizeLinear(p, s, z) })",
      k_block +
          R"(const lo: f32[] = {-64.2} const hi: f32[] = {63.7} t = Clip(x, lo, hi) q = QuantizeLinear(t, s, z) d = DequantizeLinear(q, s, z) c = Conv(d, dw) a = Add(c, d) @add r = Relu(a) p = QuantizeLinear(r, s, z) y = DequantizeLinear(p, s, z) })",
      {"add: float identity branch 't' -> its codes, s8 zero point 0, scale 0.5; the branch is rounded, by up to half "
       "a step = 0.25"});
}
TEST(ResidualIdentity, whose_values_may_lie_beyond_its_codes_stays) {
  const char* const rest =
      "d = DequantizeLinear(q, s, z) c = Conv(d, dw) a = Add(c, t) p = QuantizeLinear(a, s, z) y = DequantizeLinear(p, "
      "s, z) }";
  for (const char* const identity :
       {"t = Identity(x) ", "t = Relu(x) ", "const lo: f32[] = {-64.3} t = Clip(x, lo, lo) ",
        "const v: f32[] = {0.51} const u: s8[] = {0} e = QuantizeLinear(x, v, u) f = DequantizeLinear(e, v, u) t = "
        "Neg(f) "})
    expect_untouched("residual_identity", k_block + identity + "q = QuantizeLinear(t, s, z) " + rest);
}
TEST(ResidualIdentity, behind_a_chain_without_end_stays) {
  std::string chain = "t0 = Relu(x) ";
  const int last = 4000;
  for (int i = 1; i <= last; ++i) chain += "t" + std::to_string(i) + " = Relu(t" + std::to_string(i - 1) + ") ";
  const std::string t = "t" + std::to_string(last);
  expect_untouched("residual_identity", k_block + chain + "q = QuantizeLinear(" + t +
                                            ", s, z) d = DequantizeLinear(q, s, z) c = Conv(d, dw) a = Add(c, " + t +
                                            ") p = QuantizeLinear(a, s, z) y = DequantizeLinear(p, s, z) }");
}
TEST(ResidualIdentity, with_codes_of_its_own_or_a_float_result_stays) {
  expect_untouched(
      "residual_identity",
      k_block +
          R"(q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) c = Conv(d, dw) a = Add(c, d) p = QuantizeLinear(a, s, z) y = DequantizeLinear(p, s, z) })");
  expect_untouched(
      "residual_identity",
      k_block + R"(q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) c = Conv(d, dw) y = Add(c, x) })");
}
TEST(ResidualIdentity, takes_its_codes_where_the_other_branch_is_in_codes) {
  expect_mended(
      "residual_identity",
      k_block +
          R"(const lo: f32[] = {-64.2} const hi: f32[] = {63.7} t = Clip(x, lo, hi) q = QuantizeLinear(t, s, z) d = DequantizeLinear(q, s, z) c = Conv(d, dw) cq = QuantizeLinear(c, s, z) cd = DequantizeLinear(cq, s, z) a = Add(cd, t) @add p = QuantizeLinear(a, s, z) y = DequantizeLinear(p, s, z) })",
      k_block +
          R"(const lo: f32[] = {-64.2} const hi: f32[] = {63.7} t = Clip(x, lo, hi) q = QuantizeLinear(t, s, z) d = DequantizeLinear(q, s, z) c = Conv(d, dw) cq = QuantizeLinear(c, s, z) cd = DequantizeLinear(cq, s, z) a = Add(cd, d) @add p = QuantizeLinear(a, s, z) y = DequantizeLinear(p, s, z) })",
      {"add: float identity branch 't' -> its codes, s8 zero point 0, scale 0.5; the branch is rounded, by up to half "
       "a step = 0.25"});
}
/// A Tanh, its codes and its sum with codes of the network's input.
std::string sum_with_tanh(const std::string& branch_scale, const std::string& sum_scale, const std::string& identity) {
  return "graph (x: f32[N,2,4,4]) -> (y, e) { const s: f32[] = {0.01} const z: s8[] = {0} const b: f32[] = {" +
         branch_scale + "} const u: f32[] = {" + sum_scale +
         "} g = QuantizeLinear(x, s, z) h = DequantizeLinear(g, s, z) t = Tanh(x) q = QuantizeLinear(t, b, z) "
         "d = DequantizeLinear(q, b, z) e = Relu(d) a = Add(" +
         identity + ", h) @add p = QuantizeLinear(a, u, z) y = DequantizeLinear(p, u, z) }";
}
TEST(ResidualIdentity, whose_rounding_is_more_than_a_step_of_the_sum_stays) {
  for (const char* const sum_scale : {"0.01", "0.0499"}) {
    expect_untouched("residual_identity", sum_with_tanh("0.1", sum_scale, "t"));
    Graph graph = broken(sum_with_tanh("0.1", sum_scale, "t"));
    std::vector<std::string> notes;
    EXPECT_TRUE(repair(graph, {}, &notes));
    EXPECT_THAT(notes, ::testing::ElementsAre(
                           "node 'add' (Add): its branch 't' is float beside codes and stays so, since half a step of "
                           "its codes, 0.05, is more than a step of the sum's: the Add runs in float"));
  }
  expect_mended("residual_identity", sum_with_tanh("0.1", "0.05", "t"), sum_with_tanh("0.1", "0.05", "d"),
                {"add: float identity branch 't' -> its codes, s8 zero point 0, scale 0.1; the branch is rounded, by "
                 "up to half a step = 0.05"});
}
TEST(ResidualIdentity, whose_own_codes_would_be_coarser_than_the_sum_stays) {
  expect_untouched(
      "residual_identity",
      k_block +
          R"(const v: f32[] = {0.0019} const lo: f32[] = {-0.5} const hi: f32[] = {0.5} q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) c = Conv(d, dw) t = Clip(x, lo, hi) a = Add(c, t) p = QuantizeLinear(a, v, z) y = DequantizeLinear(p, v, z) })");
}
TEST(ResidualIdentity, of_codes_that_were_moved_loses_nothing_whatever_their_step) {
  const std::string head = k_block +
                           "const v: f32[] = {0.001} q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) "
                           "c = Conv(d, dw) t = MaxPool(d, kernel_shape=[1,1]) ";
  const std::string tail = " @add p = QuantizeLinear(a, v, z) y = DequantizeLinear(p, v, z) }";
  Graph graph = broken(head + "a = Add(c, t)" + tail);
  std::vector<std::string> notes;
  EXPECT_TRUE(repair(graph, {}, &notes));
  EXPECT_THAT(notes, ::testing::Each(::testing::Not(::testing::HasSubstr("stays so"))));
}
TEST(ResidualIdentity, beside_a_stored_constant_stays) {
  expect_untouched(
      "residual_identity",
      k_block +
          R"(const b: s8[2,1,1] = {1,2} q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) c = Conv(d, dw) e = DequantizeLinear(b, s, z) a = Add(e, x) p = QuantizeLinear(a, s, z) f = DequantizeLinear(p, s, z) y = Add(c, f) })");
}
TEST(ResidualIdentity, what_stays_float_is_told) {
  const auto left = [](const std::string& body) {
    Graph graph = broken(k_block + body);
    std::vector<std::string> notes;
    EXPECT_TRUE(repair(graph, {}, &notes));
    return notes;
  };
  const std::string head = "q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) c = Conv(d, dw) ";
  EXPECT_THAT(left(head + "y = Add(c, x) @add }"),
              ::testing::ElementsAre("node 'add' (Add): its branch 'x' is float beside codes and stays so, since its "
                                     "result is float too: the Add runs in float"));
  EXPECT_THAT(
      left(head + "t = Softplus(x) a = Add(c, t) @add p = QuantizeLinear(a, s, z) y = DequantizeLinear(p, s, z) }"),
      ::testing::ElementsAre("node 'add' (Add): its branch 't' is float beside codes and stays so, since nothing tells "
                             "its range: the Add runs in float; octet repair --recalibrate --calib-data DIR finds "
                             "ranges"));
  EXPECT_THAT(
      left(head + "a = Add(c, x) @add p = QuantizeLinear(a, s, z) y = DequantizeLinear(p, s, z) }"),
      ::testing::ElementsAre("node 'add' (Add): its branch 'x' is float beside codes and stays so, since it may "
                             "have values beyond those of its codes: the Add runs in float; octet repair "
                             "--recalibrate --calib-data DIR finds ranges"));
  EXPECT_THAT(left(head + "a = Add(c, d) p = QuantizeLinear(a, s, z) y = DequantizeLinear(p, s, z) }"),
              ::testing::IsEmpty());
}
TEST(ResidualIdentity, without_codes_anywhere_stays) {
  expect_untouched(
      "residual_identity",
      k_block +
          R"(q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) c = Conv(d, dw) t = Softplus(x) a = Add(c, t) p = QuantizeLinear(a, s, z) y = DequantizeLinear(p, s, z) })");
}

}  // namespace
}  // namespace octet
