// The float network behind a quantized one, which --recalibrate starts from: it computes what the quantized one means,
// or is refused by name.
#include "repair/float_form.h"

#include "repair/repairing.h"

namespace octet {
namespace {

using ::testing::HasSubstr;

const std::string k_head = R"(graph (x: f32[1,1,2,2]) -> (y) { const s: f32[] = {0.5} const z: u8[] = {100}
      const z2: u8[] = {90} const t: f32[] = {0.25} )";

/// Of numbers that lie on the grid of the codes: nothing is rounded, so both networks have to give `want`.
void expect_answers(const std::string& body, const std::vector<double>& want) {
  Graph graph = broken(k_head + body);
  const std::map<std::string, Tensor> x = {{"x", f32_tensor({1, 1, 2, 2}, std::vector<float>{1, -2, 3.5, -4})}};
  EXPECT_EQ(to_doubles(answers(graph, x).at(0)), want) << "quantized";
  RepairLog log;
  const Result<Done> ok = make_float(graph, log);
  ASSERT_TRUE(ok) << ok.error().message;
  EXPECT_THAT(print(graph), ::testing::Not(HasSubstr("QuantizeLinear")));
  EXPECT_EQ(to_doubles(answers(graph, x).at(0)), want) << "float";
}

std::string refusal(const std::string& body) {
  Graph graph = broken(k_head + body);
  RepairLog log;
  const Result<Done> ok = make_float(graph, log);
  return ok ? "none:\n" + print(graph) : ok.error().message;
}

TEST(FloatForm, of_a_pad_of_codes_fills_with_the_number_of_its_code) {
  const std::string pads = "const p: s64[8] = {0,0,0,1,0,0,0,0} q = QuantizeLinear(x, s, z) ";
  expect_answers(pads + "c = Pad(q, p) y = DequantizeLinear(c, s, z) }", {-50, 1, -2, -50, 3.5, -4});
  expect_answers(pads + "const v: u8[] = {107} c = Pad(q, p, v) y = DequantizeLinear(c, s, z) }",
                 {3.5, 1, -2, 3.5, 3.5, -4});
  expect_answers(pads + "c = Pad(q, p, z) y = DequantizeLinear(c, s, z) }", {0, 1, -2, 0, 3.5, -4});
}

TEST(FloatForm, of_codes_that_are_moved_and_clipped) {
  expect_answers(R"(const a: u8[] = {97} const b: u8[] = {105} q = QuantizeLinear(x, s, z) c = Clip(q, a, b)
                    r = Transpose(c, perm=[0,1,3,2]) k = Concat(r, c, axis=1) y = DequantizeLinear(k, s, z) })",
                 {1, 2.5, -1.5, -1.5, 1, -1.5, 2.5, -1.5});
}

TEST(FloatForm, tells_each_range_that_goes) {
  Graph graph = broken(k_head + "q = QuantizeLinear(x, s, z) @q y = DequantizeLinear(q, s, z) }");
  RepairLog log;
  ASSERT_TRUE(make_float(graph, log));
  ASSERT_EQ(log.rows.size(), 1u);
  EXPECT_EQ(log.rows[0].repair, "recalibrate");
  EXPECT_EQ(log.rows[0].node, "q");
  EXPECT_EQ(log.rows[0].before, "u8 zero point 100, scale 0.5");
  EXPECT_FALSE(log.rows[0].lossless());
}

TEST(FloatForm, is_refused_where_codes_mean_something_else) {
  const std::string q = "q = QuantizeLinear(x, s, z) @q ";
  const std::string other = "node 'd' (DequantizeLinear) reads codes with other parameters than their QuantizeLinear's";
  EXPECT_THAT(refusal(q + "y = DequantizeLinear(q, s, z2) @d }"), HasSubstr(other));
  EXPECT_THAT(refusal(q + "y = DequantizeLinear(q, t, z) @d }"), HasSubstr(other));
  EXPECT_THAT(refusal(q + "a = DequantizeLinear(q, s, z) b = DequantizeLinear(q, s, z2) @d y = Add(a, b) }"),
              HasSubstr(other));
  EXPECT_THAT(refusal(q + R"(c = Cast(q, to="f32") @cast y = Neg(c) })"),
              HasSubstr("node 'cast' (Cast) computes with codes"));
  EXPECT_THAT(refusal(q + "y = Identity(q) }"), HasSubstr("output 'y' of the network is codes"));
  EXPECT_THAT(refusal("q = QuantizeLinear(x, s, z) r = QuantizeLinear(x, t, z) k = Concat(q, r, axis=1) @k "
                      "y = DequantizeLinear(k, s, z) }"),
              HasSubstr("node 'k' (Concat) joins codes of different parameters"));
}

}  // namespace
}  // namespace octet
