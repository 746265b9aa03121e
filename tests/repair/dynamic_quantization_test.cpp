// Dynamic quantization as float layers, and quantization written out in float ops.
#include "repair/float_form.h"
#include "repair/repairing.h"

namespace octet {
namespace {

using ::testing::HasSubstr;

struct FloatForm {
  std::string text;
  std::vector<RepairRow> rows;
};

FloatForm float_form(std::string_view text) {
  Graph graph = broken(text);
  RepairLog log;
  const Result<Done> ok = make_float(graph, log);
  return {ok ? shown(graph) : ok.error().message, log.rows};
}

const std::string k_head = R"(graph (x: f32[N,2,4,4]) -> (y) { const w: u8[3,2,1,1] = {130,126,128,1,255,128}
      const wz: u8[] = {128} const ws: f32[] = {0.5} q, s, z = DynamicQuantizeLinear(x) )";

TEST(DynamicQuantization, becomes_a_convolution_with_the_weights_numbers) {
  const FloatForm made = float_form(
      k_head +
      R"(m = Mul(s, ws) i = ConvInteger(q, w, z, wz, pads=[1,0,0,0]) @conv c = Cast(i, to="f32") y = Mul(c, m) })");
  EXPECT_THAT(made.text, HasSubstr("const w_real: f32[3,2,1,1] = {1, -1, 0, -63.5, 63.5, 0}"));
  EXPECT_THAT(made.text, HasSubstr("y = Conv(x, w_real, pads=[1,0,0,0]) @conv"));
  ASSERT_EQ(made.rows.size(), 1u);
  EXPECT_EQ(made.rows[0].repair, "dynamic_quantization");
  EXPECT_EQ(made.rows[0].before, "DynamicQuantizeLinear, ConvInteger, Cast, Mul");
  EXPECT_EQ(made.rows[0].after, "Conv with the weight's numbers");
}

TEST(DynamicQuantization, takes_scales_by_column_and_two_readers_of_one_input) {
  const FloatForm made = float_form(R"(graph (x: f32[N,2]) -> (a, b) { const w: s8[2,3] = {1,2,3,4,5,6}
      const ws: f32[3] = {1,10,100} q, s, z = DynamicQuantizeLinear(x) m = Mul(ws, s)
      i = MatMulInteger(q, w, z) @one c = Cast(i, to="f32") a = Mul(m, c)
      j = MatMulInteger(q, w, z) @two d = Cast(j, to="f32") b = Mul(d, s) })");
  EXPECT_THAT(made.text, HasSubstr("const w_real: f32[2,3] = {1, 20, 300, 4, 50, 600}"));
  EXPECT_THAT(made.text, HasSubstr("a = MatMul(x, w_real) @one"));
  EXPECT_THAT(made.text, HasSubstr("const w_real_1: f32[2,3] = {1, 2, 3, 4, 5, 6}"));
  EXPECT_THAT(made.text, HasSubstr("b = MatMul(x, w_real_1) @two"));
}

TEST(DynamicQuantization, what_uses_the_scale_otherwise_is_named) {
  EXPECT_EQ(
      float_form(k_head + R"(i = ConvInteger(q, w, z, wz) @conv c = Cast(i, to="f32") e = Exp(s) @odd y = Mul(c, e) })")
          .text,
      "node 'q' (DynamicQuantizeLinear): node 'conv' does not use it as dynamic quantization does (codes into "
      "ConvInteger or MatMulInteger with a constant weight, its sums through Cast times both scales), so the layer has "
      "no float form; run the file as it is");
  EXPECT_THAT(float_form(k_head + R"(m = Mul(s, ws) i = ConvInteger(q, w, z, wz) c = Cast(i, to="f32") t = Mul(c, m)
                                     y = Add(t, s) @odd })")
                  .text,
              HasSubstr("node 'odd' does not use it"));
}

TEST(DynamicQuantization, follows_the_dynamic_network_within_its_rounding) {
  const std::string text =
      k_head + R"(m = Mul(s, ws) i = ConvInteger(q, w, z, wz) c = Cast(i, to="f32") y = Mul(c, m) })";
  Graph real = broken(text);
  RepairLog log;
  ASSERT_TRUE(make_float(real, log));
  std::vector<float> values;
  for (int i = 0; i < 64; ++i) values.push_back(static_cast<float>(i % 17) / 8.0f - 1.0f);
  const Tensor x = Tensor::from<float>(DType::f32, {2, 2, 4, 4}, values);
  const Tensor was = answers(broken(text), {{"x", x}})[0], is = answers(real, {{"x", x}})[0];
  const double half_step = 2.0 / 255 / 2 * 63.5;  // of x's range [-1, 1], times the largest sum of a row's weights
  ASSERT_EQ(was.size(), is.size());
  bool differs = false;
  for (int64_t i = 0; i < was.size(); ++i) {
    EXPECT_NEAR(was.at<float>(i), is.at<float>(i), half_step * 1.001);
    differs |= was.at<float>(i) != is.at<float>(i);
  }
  EXPECT_TRUE(differs) << "the dynamic network rounds its input";
}

// ---- rounding_chains ----

const std::string k_x = "graph (x: f32[N,4]) -> (y) { const s: f32[] = {0.25} ";
const std::string k_s8 = "const lo: f32[] = {-128} const hi: f32[] = {127} ";

TEST(RoundingChains, div_round_clip_mul_is_a_pair) {
  expect_mended("rounding_chains", k_x + k_s8 + "d = Div(x, s) r = Round(d) c = Clip(r, lo, hi) y = Mul(c, s) @last }",
                k_x + R"(const x_scale: f32[] = {0.25} const x_zero_point: s8[] = {0}
                  x_quantized = QuantizeLinear(x, x_scale, x_zero_point)
                  y = DequantizeLinear(x_quantized, x_scale, x_zero_point) @last })",
                {"last: Div, Round, Clip, Mul -> QuantizeLinear, DequantizeLinear, s8 zero point 0, scale 0.25"});
}
TEST(RoundingChains, with_a_zero_point_and_casts_it_is_unsigned) {
  const std::string before =
      k_x + R"(const i: f32[] = {4} const z: f32[] = {7} const lo: f32[] = {0} const hi: f32[] = {255}
         d = Mul(x, i) r = Round(d) a = Add(r, z) c = Clip(a, lo, hi) e = Cast(c, to="u8") f = Cast(e, to="f32")
         g = Sub(f, z) y = Mul(g, s) @last })";
  const MendedGraph made = mended("rounding_chains", before);
  ASSERT_EQ(made.rows.size(), 1u);
  EXPECT_EQ(made.rows[0].after, "QuantizeLinear, DequantizeLinear, u8 zero point 7, scale 0.25");
  EXPECT_EQ(made.rows[0].change, "one step where x * (1/scale) and x / scale round apart");
  expect_same_answers(before, made.graph, {50, 4}, 80.0f);  // a power of two: nothing rounds apart
}
TEST(RoundingChains, a_narrow_range_becomes_a_clip_of_the_values) {
  const std::string before =
      k_x +
      "const lo: f32[] = {-7} const hi: f32[] = {7} d = Div(x, s) c = Clip(d, lo, hi) r = Round(c) y = Mul(r, s) }";
  const MendedGraph made = mended("rounding_chains", before);
  EXPECT_THAT(print(made.graph), HasSubstr("x_clipped = Clip(x, x_low, x_high)"));
  EXPECT_THAT(print(made.graph), HasSubstr("const x_low: f32[] = {-1.75}"));
  expect_same_answers(before, made.graph, {50, 4}, 4.0f);
}
TEST(RoundingChains, other_arithmetic_stays) {
  for (const char* body :
       {"d = Div(x, s) r = Round(d) y = Mul(r, s)",                                             // no bounds
        "d = Div(x, s) c = Clip(d, lo, hi) y = Mul(c, s)",                                      // no rounding
        "const t: f32[] = {0.5} d = Div(x, s) r = Round(d) c = Clip(r, lo, hi) y = Mul(c, t)",  // another scale
        "const h: f32[] = {0.5} d = Div(x, s) a = Add(d, h) r = Round(a) c = Clip(r, lo, hi) y = Mul(c, s)",
        "const z: f32[] = {3} d = Div(x, s) a = Add(d, z) r = Round(a) c = Clip(r, lo, hi) y = Mul(c, s)",
        "const k: f32[4] = {1,2,3,4} const m: f32[] = {63} d = Div(x, k) r = Round(d) c = Clip(r, lo, m) y = Mul(c, "
        "k)"})
    expect_untouched("rounding_chains", k_x + k_s8 + body + " }");
}

}  // namespace
}  // namespace octet
