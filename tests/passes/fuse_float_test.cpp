// The fuse stage on float graphs: FusedConv, FusedGemm, FusedAdd.
#include "passes/pass_test.h"

namespace octet {
namespace {

void expect_fused(std::string_view before, std::string_view after) {
  EXPECT_EQ(shown(after_stage(Stage::fuse, parsed(before))), shown(parsed(after)));
}

constexpr const char* k_weights = "const w: f32[2,2,1,1] = {1, 2, 3, 4}; const b: f32[2] = {1, 2}\n";

TEST(FuseConv, takes_residual_and_activation) {
  expect_fused(std::string("graph (x: f32[N,2,4,4]) -> (y) {") + k_weights +
                   "c = Conv(x, w, b, strides=[1,1]) @conv; s = Add(x, c); y = Relu(s) }",
               std::string("graph (x: f32[N,2,4,4]) -> (y) {") + k_weights +
                   "y = FusedConv(x, w, b, x, activation=\"Relu\", strides=[1,1]) @conv }");
}
TEST(FuseConv, clip_bounds_become_parameters) {
  expect_fused(std::string("graph (x: f32[N,2,4,4]) -> (y) { const lo: f32[] = {0}; const hi: f32[] = {6}\n") +
                   k_weights + "c = Conv(x, w); y = Clip(c, lo, hi) }",
               "graph (x: f32[N,2,4,4]) -> (y) { const w: f32[2,2,1,1] = {1, 2, 3, 4}\n"
               "y = FusedConv(x, w, activation=\"Clip\", activation_params=[0.0,6.0]) }");
}
TEST(FuseConv, a_result_with_two_readers_keeps_its_activation_apart) {
  expect_fused(
      std::string("graph (x: f32[N,2,4,4]) -> (y, z) {") + k_weights + "c = Conv(x, w, b); y = Relu(c); z = Tanh(c) }",
      std::string("graph (x: f32[N,2,4,4]) -> (y, z) {") + k_weights +
          "c = FusedConv(x, w, b); y = Relu(c); z = Tanh(c) }");
}
TEST(FuseConv, a_graph_output_in_between_stays_one) {
  expect_fused(
      std::string("graph (x: f32[N,2,4,4]) -> (c, y) {") + k_weights + "c = Conv(x, w, b); y = Relu(c) }",
      std::string("graph (x: f32[N,2,4,4]) -> (c, y) {") + k_weights + "c = FusedConv(x, w, b); y = Relu(c) }");
}
TEST(FuseConv, of_two_convolutions_the_later_one_carries_the_add) {
  expect_fused(std::string("graph (x: f32[N,2,4,4]) -> (y) {") + k_weights +
                   "c = Conv(x, w, b) @first; d = Conv(x, w) @second; s = Add(c, d); y = Relu(s) }",
               std::string("graph (x: f32[N,2,4,4]) -> (y) {") + k_weights +
                   "c = FusedConv(x, w, b) @first; y = FusedConv(x, w, _, c, activation=\"Relu\") @second }");
}
TEST(FuseConv, an_add_that_broadcasts_is_no_residual) {
  expect_fused(std::string("graph (x: f32[N,2,4,4], r: f32[N,2,1,1]) -> (y) {") + k_weights +
                   "c = Conv(x, w, b); y = Add(c, r) }",
               std::string("graph (x: f32[N,2,4,4], r: f32[N,2,1,1]) -> (y) {") + k_weights +
                   "c = FusedConv(x, w, b); y = FusedAdd(c, r) }");
}
TEST(FuseConv, the_sum_of_a_conv_with_itself_is_no_residual) {
  expect_fused(
      std::string("graph (x: f32[N,2,4,4]) -> (y) {") + k_weights + "c = Conv(x, w, b); y = Add(c, c) }",
      std::string("graph (x: f32[N,2,4,4]) -> (y) {") + k_weights + "c = FusedConv(x, w, b); y = FusedAdd(c, c) }");
}
TEST(FuseGemm, takes_its_activation_and_stores_the_weight_by_output) {
  expect_fused(
      "graph (x: f32[N,2]) -> (y) { const w: f32[2,3] = {1,2,3,4,5,6}; const b: f32[3] = {1,2,3}\n"
      "g = Gemm(x, w, b) @fc; y = Silu(g) }",
      "graph (x: f32[N,2]) -> (y) { const w_nk: f32[3,2] = {1,4,2,5,3,6}; const b: f32[3] = {1,2,3}\n"
      "y = FusedGemm(x, w_nk, b, activation=\"Silu\") @fc }");
}
TEST(FuseAdd, takes_a_clamp_and_leaves_a_curve_apart) {
  expect_fused("graph (x: f32[N,2], z: f32[N,2]) -> (y) { s = Add(x, z) @add; y = Relu(s) }",
               "graph (x: f32[N,2], z: f32[N,2]) -> (y) { y = FusedAdd(x, z, activation=\"Relu\") @add }");
  expect_fused("graph (x: f32[N,2], z: f32[N,2]) -> (y) { s = Add(x, z); y = Tanh(s) }",
               "graph (x: f32[N,2], z: f32[N,2]) -> (y) { s = FusedAdd(x, z); y = Tanh(s) }");
}
TEST(FuseChannelShuffle, is_one_gather_along_the_channels) {
  const auto shuffle = [](const std::string& perm, const std::string& back) {
    return "graph (x: f32[N,6,4,5]) -> (y) { const a: s64[5] = {0, 2, 3, 4, 5}; const b: s64[4] = " + back +
           "\nr = Reshape(x, a); t = Transpose(r, perm=" + perm + "); y = Reshape(t, b) @shuffle }";
  };
  expect_fused(shuffle("[0,2,1,3,4]", "{0, 6, 4, 5}"),
               "graph (x: f32[N,6,4,5]) -> (y) { const y_channels: s64[6] = {0, 3, 1, 4, 2, 5}\n"
               "y = Gather(x, y_channels, axis=1) @shuffle }");
  expect_fused(shuffle("[0,2,1,4,3]", "{0, 6, 4, 5}"), shuffle("[0,2,1,4,3]", "{0, 6, 4, 5}"));
  expect_fused(shuffle("[0,2,1,3,4]", "{0, 6, 5, 4}"), shuffle("[0,2,1,3,4]", "{0, 6, 5, 4}"));
}
TEST(FuseChannelShuffle, changes_no_value_of_floats_or_codes) {
  for (const char* dtype : {"f32", "u8"}) {
    const Graph before =
        parsed(std::string("graph (x: ") + dtype +
               "[2,12,3,2]) -> (y) { const a: s64[5] = {2, 3, 4, 3, 2}; const b: s64[4] = {2, 12, 3, 2}\n"
               "r = Reshape(x, a); t = Transpose(r, perm=[0,2,1,3,4]); y = Reshape(t, b) }");
    const Graph after = after_stage(Stage::fuse, before);
    EXPECT_THAT(shown(after), testing::HasSubstr("Gather"));
    Tensor x = random_tensor({2, 12, 3, 2}, 3);
    if (std::string(dtype) == "u8") {
      std::vector<uint8_t> codes;
      for (int i = 0; i < 144; ++i) codes.push_back(static_cast<uint8_t>(i));
      x = Tensor::from<uint8_t>(DType::u8, {2, 12, 3, 2}, codes);
    }
    const Tensor want = evaluate(before, {{"x", x}})["y"], got = evaluate(after, {{"x", x}})["y"];
    EXPECT_TRUE(std::equal(want.bytes().begin(), want.bytes().end(), got.bytes().begin(), got.bytes().end())) << dtype;
  }
}
TEST(FuseFloat, a_dequantized_weight_of_a_float_layer_is_computed_once) {
  expect_fused(
      "graph (x: f32[N,1,4,4]) -> (y) { const w: s8[2,1,1,1] = {3, -4}; const s: f32[2] = {0.5, 0.25}\n"
      "d = DequantizeLinear(w, s, axis=0); y = Conv(x, d) }",
      "graph (x: f32[N,1,4,4]) -> (y) { const d: f32[2,1,1,1] = {1.5, -1}; y = FusedConv(x, d) }");
}

}  // namespace
}  // namespace octet
