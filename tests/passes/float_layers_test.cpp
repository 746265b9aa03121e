// Quantization taken out again.
#include "passes/pass_test.h"

namespace octet {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Two convolutions in INT8, one behind the other.
const std::string k_graph = R"(graph (x: f32[1,2,4,4]) -> (y) {
  const s: f32[] = {0.5}; const z: s8[] = {0}
  const w: s8[2,2,1,1] = {1, -2, 127, 4}; const ws: f32[2] = {0.5, 2}; const b: s32[2] = {10, -20}; const bs: f32[2] = {0.25, 1}
  qx = QuantizeLinear(x, s, z); dx = DequantizeLinear(qx, s, z)
  dw = DequantizeLinear(w, ws, axis=0); db = DequantizeLinear(b, bs, axis=0)
  c = Conv(dx, dw, db) @first; r = Relu(c); qr = QuantizeLinear(r, s, z); dr = DequantizeLinear(qr, s, z)
  dv = DequantizeLinear(w, ws, axis=0)
  y = Conv(dr, dv) @second })";

TEST(MakeFloat, the_named_layer_runs_in_float_between_the_codes_around_it) {
  Graph graph = parsed(k_graph);
  EXPECT_EQ(make_float(graph, {"first", "nobody"}), 1);
  const std::string text = shown(after_stage(Stage::fuse, graph));
  EXPECT_THAT(text, HasSubstr("FusedConv("));
  EXPECT_THAT(text, HasSubstr("@first"));
  EXPECT_THAT(text, HasSubstr("y = QuantConv("));
  EXPECT_THAT(text, HasSubstr("{0.5, -1, 254, 8}")) << "the weights on the grid";
}

TEST(MakeFloat, changes_no_value) {
  const Graph before = parsed(k_graph);
  Graph after = before;
  make_float(after, {"first", "second"});
  const std::map<std::string, Tensor> inputs = {{"x", random_tensor({1, 2, 4, 4}, 1, -40, 40)}};
  EXPECT_EQ(relative_difference(evaluate(before, inputs)["y"], evaluate(after, inputs)["y"]), 0);
}

TEST(RemoveQuantization, leaves_no_code_but_the_weights) {
  Graph graph = parsed(k_graph);
  EXPECT_EQ(remove_quantization(graph), 2);
  const std::string text = shown(after_stage(Stage::fuse, graph));
  EXPECT_THAT(text, Not(HasSubstr("Quant")));
  EXPECT_THAT(text, HasSubstr("FusedConv(x,"));
}

}  // namespace
}  // namespace octet
