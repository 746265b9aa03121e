// Tensors without elements: a batch of 0, no channels, no pixels, nothing to sum over.
#include <gtest/gtest.h>

#include "backends/running.h"

namespace octet {
namespace {

void expect_runs(const std::string& text, const std::set<std::string>& constants = {}) {
  SCOPED_TRACE(text);
  expect_cpu_equals_ref("graph g (" + text + "\n}\n", constants, k_exact);
}

TEST(NoElements, in_the_batch) {
  expect_runs("x: f32[0,3,8,8], w: f32[4,3,3,3]) -> (y) {\n  c = Conv(x, w)\n  y = Relu(c)", {"w"});
  expect_runs("x: f32[0,3,8,8]) -> (y) {\n  p = MaxPool(x, kernel_shape=[2,2])\n  y = GlobalAveragePool(p)");
  expect_runs("x: f32[0,8], w: f32[8,4]) -> (y) {\n  m = MatMul(x, w)\n  y = Softmax(m, axis=1)", {"w"});
  expect_runs("x: f32[0,3,4]) -> (y) {\n  t = Transpose(x, perm=[1,0,2])\n  y = Add(t, t)");
}

TEST(NoElements, in_the_output_channels) {
  expect_runs("x: f32[2,4,8,8], w: f32[0,4,3,3]) -> (y) {\n  y = Conv(x, w)", {"w"});
  expect_runs("x: f32[2,8], w: f32[8,0]) -> (y) {\n  y = Gemm(x, w)", {"w"});
  expect_runs("x: f32[2,8], w: f32[8,0]) -> (y) {\n  y = MatMul(x, w)", {"w"});
}

TEST(NoElements, to_sum_over) {
  expect_runs("x: f32[2,0], w: f32[0,3]) -> (y) {\n  y = MatMul(x, w)", {"w"});
  expect_runs("x: f32[2,0,4]) -> (y) {\n  const k: s64[1] = {1}\n  y = ReduceSum(x, k)");
}

TEST(NoElements, in_a_constant) {
  expect_runs("w: u8[7,0,5]) -> (y) {\n  y = Squeeze(w)", {"w"});
  expect_runs("w: f32[7,0,5]) -> (y) {\n  const s: s64[2] = {0, 3}\n  y = Reshape(w, s, allowzero=1)", {"w"});
}

TEST(NoElements, in_a_part_of_a_concatenation) {
  expect_runs("a: f32[2,3,4], b: f32[2,0,4]) -> (y) {\n  y = Concat(a, b, axis=1)");
}

TEST(NoElements, in_integer_layers) {
  const std::string codes =
      "a_scale=0.02, a_zero_point=7, b_scale=0.03, b_zero_point=-5, to=\"u8\", y_scale=0.5, y_zero_point=100)";
  expect_runs("a: u8[0,7], b: s8[7,3]) -> (y) {\n  y = QuantMatMul(a, b, " + codes);
  expect_runs("a: u8[5,7], b: s8[7,0]) -> (y) {\n  y = QuantMatMul(a, b, " + codes);
}

}  // namespace
}  // namespace octet
