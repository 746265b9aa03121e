// Passes that fold per-channel arithmetic and padding into a Conv or Gemm.
#include "passes/pass_test.h"

namespace octet {
namespace {

// Expected numbers: numpy, float64 arithmetic on the float32 parameters, rounded to float32 once.
constexpr const char* k_batch_norm = R"(
  const g: f32[2] = {1.5, -0.7}; const be: f32[2] = {0.1, 0.2}; const m: f32[2] = {0.3, -0.4}; const v: f32[2] = {0.9, 2}
)";

TEST(FoldBatchNorm, weight_and_bias_of_the_conv_take_it) {
  expect_rewrite("fold_batch_norm",
                 std::string("graph (x: f32[N,2,4,4]) -> (y) { const w: f32[2,2,1,1] = {1, 2, -3, 0.5}\n"
                             "const b: f32[2] = {0.25, -1}") +
                     k_batch_norm +
                     "c = Conv(x, w, b) @conv; y = BatchNormalization(c, g, be, m, v, epsilon=1e-5) @bn }",
                 "graph (x: f32[N,2,4,4]) -> (y) {\n"
                 "const w_folded: f32[2,2,1,1] = {1.58113003, 3.16226006, 1.4849205, -0.247486755}\n"
                 "const b_folded: f32[2] = {0.0209434796, 0.496984094}\n"
                 "y = Conv(x, w_folded, b_folded) @conv }");
}
TEST(FoldBatchNorm, a_gemm_without_bias_gets_one) {
  expect_rewrite("fold_batch_norm",
                 std::string("graph (x: f32[N,2]) -> (y) { const w: f32[2,2] = {1, 2, -3, 0.5}") + k_batch_norm +
                     "c = Gemm(x, w, transB=1); y = BatchNormalization(c, g, be, m, v, epsilon=1e-5) }",
                 "graph (x: f32[N,2]) -> (y) {\n"
                 "const w_folded: f32[2,2] = {1.58113003, 3.16226006, 1.4849205, -0.247486755}\n"
                 "const w_bias: f32[2] = {-0.374339044, 0.00201059971}\n"
                 "y = Gemm(x, w_folded, w_bias, transB=1) }");
}
TEST(FoldBatchNorm, leaves_a_conv_with_two_readers_alone) {
  expect_untouched("fold_batch_norm",
                   std::string("graph (x: f32[N,2,4,4]) -> (y, u) { const w: f32[2,2,1,1] = {1, 2, -3, 0.5}") +
                       k_batch_norm + "c = Conv(x, w); y = BatchNormalization(c, g, be, m, v); u = Relu(c) }");
}
TEST(FoldBatchNorm, leaves_a_conv_that_is_a_graph_output_alone) {
  expect_untouched("fold_batch_norm",
                   std::string("graph (x: f32[N,2,4,4]) -> (y, c) { const w: f32[2,2,1,1] = {1, 2, -3, 0.5}") +
                       k_batch_norm + "c = Conv(x, w); y = BatchNormalization(c, g, be, m, v) }");
}
TEST(FoldBatchNorm, leaves_a_weight_that_is_no_constant_alone) {
  expect_untouched("fold_batch_norm", std::string("graph (x: f32[N,2,4,4], w: f32[2,2,1,1]) -> (y) {") + k_batch_norm +
                                          "c = Conv(x, w); y = BatchNormalization(c, g, be, m, v) }");
}
TEST(FoldBatchNorm, a_weight_that_another_conv_shares_is_copied) {
  const Graph graph = after_pass(
      "fold_batch_norm",
      parsed(std::string("graph (x: f32[N,2,4,4]) -> (y, z) { const w: f32[2,2,1,1] = {1, 2, -3, 0.5}") + k_batch_norm +
             "c = Conv(x, w); y = BatchNormalization(c, g, be, m, v, epsilon=1e-5); z = Conv(y, w) }"));
  EXPECT_THAT(print(graph), ::testing::HasSubstr("z = Conv(y, w)"));
  EXPECT_THAT(print(graph), ::testing::HasSubstr("y = Conv(x, w_folded, w_bias)"));
}

TEST(BatchNormToConv, a_batch_norm_on_its_own_is_a_depthwise_conv) {
  expect_rewrite("batch_norm_to_conv",
                 std::string("graph (x: f32[N,2,4,4]) -> (y) {") + k_batch_norm +
                     "y = BatchNormalization(x, g, be, m, v, epsilon=1e-5) @bn }",
                 "graph (x: f32[N,2,4,4]) -> (y) { const bn_scale: f32[2,1,1,1] = {1.58113003, -0.494973511}\n"
                 "const bn_shift: f32[2] = {-0.374339044, 0.00201059971}\n"
                 "y = Conv(x, bn_scale, bn_shift, group=2, kernel_shape=[1,1]) @bn }");
}
TEST(BatchNormToConv, waits_for_the_conv_before_it) {
  expect_untouched("batch_norm_to_conv",
                   std::string("graph (x: f32[N,2,4,4]) -> (y) { const w: f32[2,2,1,1] = {1, 2, -3, 0.5}") +
                       k_batch_norm + "c = Conv(x, w); y = BatchNormalization(c, g, be, m, v) }");
}

TEST(FoldScaleShift, constants_per_channel_go_into_the_conv) {
  const std::string conv =
      "graph (x: f32[N,1,4,4]) -> (y) { const w: f32[2,1,1,1] = {1, -2}; const b: f32[2] = {0.5, 1}\n";
  expect_rewrite("fold_scale_shift", conv + "const k: f32[2,1,1] = {2, 4}; c = Conv(x, w, b) @conv; y = Mul(k, c) }",
                 "graph (x: f32[N,1,4,4]) -> (y) { const w_folded: f32[2,1,1,1] = {2, -8}\n"
                 "const b_folded: f32[2] = {1, 4}; y = Conv(x, w_folded, b_folded) @conv }");
  expect_rewrite("fold_scale_shift", conv + "const k: f32[] = {3}; c = Conv(x, w, b); y = Sub(k, c) }",
                 "graph (x: f32[N,1,4,4]) -> (y) { const w_folded: f32[2,1,1,1] = {-1, 2}\n"
                 "const b_folded: f32[2] = {2.5, 2}; y = Conv(x, w_folded, b_folded) }");
}
TEST(FoldScaleShift, a_constant_along_the_width_stays) {
  expect_untouched("fold_scale_shift",
                   "graph (x: f32[N,1,4,2]) -> (y) { const w: f32[2,1,1,1] = {1, -2}; const k: f32[2] = {2, 4}\n"
                   "c = Conv(x, w); y = Mul(c, k) }");
}
TEST(FoldScaleShift, a_constant_divided_by_the_conv_stays) {
  expect_untouched("fold_scale_shift",
                   "graph (x: f32[N,1,4,2]) -> (y) { const w: f32[2,1,1,1] = {1, -2}; const k: f32[] = {2}\n"
                   "c = Conv(x, w); y = Div(k, c) }");
}
TEST(FoldScaleShift, the_three_of_a_hard_sigmoid_is_not_folded_away) {
  const Graph graph = after_stage(Stage::clean, parsed(R"(graph (x: f32[N,1,4,4]) -> (y) {
      const w: f32[2,1,1,1] = {1, -2}; const three: f32[] = {3}; const lo: f32[] = {0}; const six: f32[] = {6}
      c = Conv(x, w); a = Add(c, three); p = Clip(a, lo, six); y = Div(p, six) })"));
  EXPECT_THAT(print(graph), ::testing::HasSubstr("y = HardSigmoid(c"));
}

TEST(FoldPad, zeros_around_the_image_go_into_the_conv) {
  expect_rewrite("fold_pad",
                 "graph (x: f32[N,1,4,4]) -> (y) { const w: f32[1,1,3,3] = {1,1,1,1,1,1,1,1,1}\n"
                 "const p: s64[8] = {0,0,1,2,0,0,3,4}; h = Pad(x, p); y = Conv(h, w, pads=[1,1,1,1]) }",
                 "graph (x: f32[N,1,4,4]) -> (y) { const w: f32[1,1,3,3] = {1,1,1,1,1,1,1,1,1}\n"
                 "y = Conv(x, w, pads=[2,3,4,5]) }");
}
TEST(FoldPad, an_average_pool_counts_the_padding_as_before) {
  expect_rewrite("fold_pad",
                 "graph (x: f32[N,1,4,4]) -> (y) { const p: s64[4] = {1,1,1,1}; const a: s64[2] = {2, -1}\n"
                 "h = Pad(x, p, _, a); y = AveragePool(h, kernel_shape=[2,2]) }",
                 "graph (x: f32[N,1,4,4]) -> (y) {\n"
                 "y = AveragePool(x, count_include_pad=1, kernel_shape=[2,2], pads=[1,1,1,1]) }");
}
TEST(FoldPad, pads_of_ones_of_channels_and_negative_ones_stay) {
  const std::string head = "graph (x: f32[N,1,6,6]) -> (y) { const w: f32[1,1,3,3] = {1,1,1,1,1,1,1,1,1}\n";
  expect_untouched("fold_pad", head +
                                   "const p: s64[8] = {0,0,1,1,0,0,1,1}; const one: f32[] = {1}\n"
                                   "h = Pad(x, p, one); y = Conv(h, w) }");
  expect_untouched("fold_pad", head + "const p: s64[8] = {0,0,-1,-1,0,0,0,0}; h = Pad(x, p); y = Conv(h, w) }");
  expect_untouched("fold_pad",
                   "graph (x: f32[N,1,6,6]) -> (y) { const w: f32[1,2,1,1] = {1,1}\n"
                   "const p: s64[8] = {0,1,0,0,0,0,0,0}; h = Pad(x, p); y = Conv(h, w) }");
}
TEST(FoldPad, a_max_pool_would_see_other_padding) {
  expect_untouched("fold_pad",
                   "graph (x: f32[N,1,6,6]) -> (y) { const p: s64[8] = {0,0,1,1,0,0,1,1}\n"
                   "h = Pad(x, p); y = MaxPool(h, kernel_shape=[2,2]) }");
}

}  // namespace
}  // namespace octet
