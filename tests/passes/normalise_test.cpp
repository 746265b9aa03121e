// Passes that bring one meaning to one spelling.
#include "passes/pass_test.h"

namespace octet {
namespace {

TEST(NormaliseReshape, a_batch_of_one_fixed_in_the_file_becomes_flatten) {
  expect_rewrite("normalise_reshape", "graph (x: f32[1,8,1,1]) -> (y) { const s: s64[2] = {1, -1}; y = Reshape(x, s) }",
                 "graph (x: f32[1,8,1,1]) -> (y) { y = Flatten(x, axis=1) }");
}
TEST(NormaliseReshape, squeeze_of_a_pooled_image_becomes_flatten) {
  expect_rewrite("normalise_reshape", "graph (x: f32[N,8,1,1]) -> (y) { const a: s64[2] = {2, 3}; y = Squeeze(x, a) }",
                 "graph (x: f32[N,8,1,1]) -> (y) { y = Flatten(x, axis=1) }");
}
TEST(NormaliseReshape, a_reshape_that_splits_the_batch_stays) {
  expect_untouched("normalise_reshape",
                   "graph (x: f32[N,8,1,1]) -> (y) { const s: s64[2] = {-1, 4}; y = Reshape(x, s) }");
}

TEST(NormaliseGemm, alpha_beta_and_the_transposed_weight_are_folded) {
  expect_rewrite("normalise_gemm",
                 "graph (x: f32[N,2]) -> (y) { const w: f32[2,3] = {1, 2, 3, 4, 5, 6}; const b: f32[1,3] = {1, 2, 3}\n"
                 "y = Gemm(x, w, b, alpha=2.0, beta=0.5) @fc }",
                 "graph (x: f32[N,2]) -> (y) { const w_nk: f32[3,2] = {2, 8, 4, 10, 6, 12}\n"
                 "const b_n: f32[3] = {0.5, 1, 1.5}; y = Gemm(x, w_nk, b_n, transB=1) @fc }");
}
TEST(NormaliseGemm, a_bias_by_row_stays) {
  expect_untouched("normalise_gemm",
                   "graph (x: f32[2,2]) -> (y) { const w: f32[2,3] = {1, 2, 3, 4, 5, 6}; const b: f32[2,1] = {1, 2}\n"
                   "y = Gemm(x, w, b) }");
}

TEST(MatMulToGemm, product_and_bias_become_gemm) {
  expect_rewrite("matmul_to_gemm",
                 "graph (x: f32[N,2]) -> (y) { const w: f32[2,3] = {1, 2, 3, 4, 5, 6}; const b: f32[3] = {1, 2, 3}\n"
                 "p = MatMul(x, w) @fc; y = Add(b, p) }",
                 "graph (x: f32[N,2]) -> (y) { const w: f32[2,3] = {1, 2, 3, 4, 5, 6}; const b: f32[3] = {1, 2, 3}\n"
                 "y = Gemm(x, w, b) @fc }");
}
TEST(MatMulToGemm, rows_of_a_batch_of_sequences_are_flattened) {
  const Graph graph =
      after_pass("matmul_to_gemm", parsed("graph (x: f32[N,5,2]) -> (y) { const w: f32[2,3] = {1, 2, 3, 4, 5, 6}\n"
                                          "y = MatMul(x, w) @fc : f32[N,5,3] }"));
  EXPECT_THAT(print(graph), ::testing::HasSubstr("y_rows = Gemm(y_rows_in, w) @fc : f32[?,3]"));
  EXPECT_THAT(print(graph), ::testing::HasSubstr("y = Reshape(y_rows, y_outer_shape) : f32[N,5,3]"));
}
TEST(MatMulToGemm, a_vector_is_one_row) {
  const Graph graph =
      after_pass("matmul_to_gemm",
                 parsed("graph (x: f32[2]) -> (y) { const w: f32[2,3] = {1, 2, 3, 4, 5, 6}; y = MatMul(x, w) }"));
  EXPECT_THAT(print(graph), ::testing::HasSubstr("y_rows = Gemm(y_rows_in, w) : f32[1,3]"));
  EXPECT_THAT(print(graph), ::testing::HasSubstr("y = Reshape(y_rows, y_outer_shape) : f32[3]"));
}
TEST(MatMulToGemm, a_product_of_two_activations_stays) {
  expect_untouched("matmul_to_gemm", "graph (x: f32[N,5,5]) -> (y) { y = MatMul(x, x) }");
}
TEST(MatMulToGemm, a_product_with_two_readers_keeps_its_add) {
  expect_rewrite("matmul_to_gemm",
                 "graph (x: f32[N,2]) -> (y, p) { const w: f32[2,2] = {1, 2, 3, 4}; const b: f32[2] = {1, 2}\n"
                 "p = MatMul(x, w); y = Add(p, b) }",
                 "graph (x: f32[N,2]) -> (y, p) { const w: f32[2,2] = {1, 2, 3, 4}; const b: f32[2] = {1, 2}\n"
                 "p = Gemm(x, w); y = Add(p, b) }");
}
TEST(TransposeCodes, a_transposed_quantized_weight_stays_a_weight) {
  expect_rewrite("transpose_codes",
                 "graph (x: f32[N,2]) -> (y) { const w: s8[3,2] = {1, 2, 3, 4, 5, 6}; const s: f32[3] = {1, 2, 3}\n"
                 "d = DequantizeLinear(w, s, axis=0); t = Transpose(d, perm=[1,0]); y = MatMul(x, t) }",
                 "graph (x: f32[N,2]) -> (y) { const s: f32[3] = {1, 2, 3}; const w: s8[3,2] = {1, 2, 3, 4, 5, 6}\n"
                 "const w_t: s8[2,3] = {1, 3, 5, 2, 4, 6}\n"
                 "d = DequantizeLinear(w, s, axis=0); t = DequantizeLinear(w_t, s, axis=1); y = MatMul(x, t) }");
}

TEST(ReduceMeanToPool, spatial_mean_is_global_average_pool) {
  expect_rewrite("reduce_mean_to_pool",
                 "graph (x: f32[N,8,4,4]) -> (y) { const a: s64[2] = {-1, -2}; y = ReduceMean(x, a) @pool }",
                 "graph (x: f32[N,8,4,4]) -> (y) { y = GlobalAveragePool(x) @pool }");
}
TEST(ReduceMeanToPool, without_kept_axes_a_flatten_follows) {
  expect_rewrite("reduce_mean_to_pool",
                 "graph (x: f32[N,8,4,4]) -> (y) { const a: s64[2] = {2, 3}; y = ReduceMean(x, a, keepdims=0) }",
                 "graph (x: f32[N,8,4,4]) -> (y) { y_pooled = GlobalAveragePool(x); y = Flatten(y_pooled, axis=1) }");
}
TEST(ReduceMeanToPool, a_mean_over_channels_stays) {
  expect_untouched("reduce_mean_to_pool",
                   "graph (x: f32[N,8,4,4]) -> (y) { const a: s64[2] = {1, 2}; y = ReduceMean(x, a) }");
}
TEST(ReduceMeanToPool, a_window_as_large_as_the_image_is_global) {
  expect_rewrite("reduce_mean_to_pool", "graph (x: f32[N,8,8,8]) -> (y) { y = AveragePool(x, kernel_shape=[8,8]) }",
                 "graph (x: f32[N,8,8,8]) -> (y) { y = GlobalAveragePool(x) }");
  expect_untouched("reduce_mean_to_pool",
                   "graph (x: f32[N,8,8,8]) -> (y) { y = AveragePool(x, kernel_shape=[8,8], pads=[1,1,1,1]) }");
}

TEST(RecogniseHardSigmoid, the_pieces_become_one_op) {
  expect_rewrite("recognise_hard_sigmoid",
                 R"(graph (x: f32[N,4]) -> (y) { const three: f32[] = {3}; const lo: f32[] = {0}; const six: f32[] = {6}
      a = Add(x, three); c = Clip(a, lo, six); y = Div(c, six) @gate })",
                 "graph (x: f32[N,4]) -> (y) { y = HardSigmoid(x, alpha=0.16666667, beta=0.5) @gate }");
}
TEST(RecogniseHardSigmoid, a_clip_with_two_readers_stays) {
  expect_untouched("recognise_hard_sigmoid",
                   R"(graph (x: f32[N,4]) -> (y, z) { const three: f32[] = {3}; const lo: f32[] = {0}
      const six: f32[] = {6}; a = Add(x, three); c = Clip(a, lo, six); y = Div(c, six); z = Tanh(c) })");
}
TEST(RecogniseHardSigmoid, clip_from_zero_without_a_top_is_relu) {
  expect_rewrite("recognise_hard_sigmoid", "graph (x: f32[N,4]) -> (y) { const lo: f32[] = {0}; y = Clip(x, lo) }",
                 "graph (x: f32[N,4]) -> (y) { y = Relu(x) }");
}
TEST(RecogniseHardSwish, both_orders_of_the_division_are_seen) {
  const char* const swish = "graph (x: f32[N,4]) -> (y) { y = HardSwish(x) @act }";
  expect_rewrite("recognise_hard_swish",
                 R"(graph (x: f32[N,4]) -> (y) { const three: f32[] = {3}; const lo: f32[] = {0}; const six: f32[] = {6}
      a = Add(x, three); c = Clip(a, lo, six); m = Mul(x, c); y = Div(m, six) @act })",
                 swish);
  expect_rewrite("recognise_hard_swish",
                 "graph (x: f32[N,4]) -> (y) { h = HardSigmoid(x, alpha=0.16666667, beta=0.5); y = Mul(h, x) @act }",
                 swish);
}
TEST(RecogniseHardSwish, the_keras_slope_is_another_function) {
  expect_untouched("recognise_hard_swish",
                   "graph (x: f32[N,4]) -> (y) { h = HardSigmoid(x, alpha=0.2, beta=0.5); y = Mul(h, x) }");
}
TEST(RecogniseSilu, a_gate_of_another_value_is_no_silu) {
  expect_rewrite("recognise_silu", "graph (x: f32[N,4]) -> (y) { s = Sigmoid(x); y = Mul(x, s) @act }",
                 "graph (x: f32[N,4]) -> (y) { y = Silu(x) @act }");
  expect_untouched("recognise_silu", "graph (x: f32[N,4], g: f32[N,4]) -> (y) { s = Sigmoid(g); y = Mul(x, s) }");
  expect_untouched("recognise_silu", "graph (x: f32[N,4]) -> (y, s) { s = Sigmoid(x); y = Mul(x, s) }");
}

}  // namespace
}  // namespace octet
