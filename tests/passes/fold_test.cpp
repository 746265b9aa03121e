// Passes that compute at build time: constants, shapes, dead code, duplicates.
#include "passes/pass_test.h"

namespace octet {
namespace {

TEST(FoldConstants, a_chain_of_constants_becomes_one) {
  expect_rewrite("fold_constants",
                 "graph (x: f32[N,2]) -> (y) { const a: f32[2] = {1, 2}; const b: f32[] = {3}\n"
                 "s = Add(a, b); t = Mul(s, s); y = Add(x, t) }",
                 "graph (x: f32[N,2]) -> (y) { const t: f32[2] = {16, 25}; y = Add(x, t) }");
}
TEST(FoldConstants, a_dequantized_weight_stays_codes) {
  expect_untouched("fold_constants",
                   "graph (x: f32[N,2]) -> (y) { const w: s8[2] = {1, 2}; const s: f32[] = {0.5}\n"
                   "d = DequantizeLinear(w, s); y = Add(x, d) }");
}
TEST(FoldConstants, a_quantized_float_weight_becomes_codes) {
  expect_rewrite(
      "fold_constants",
      "graph (x: f32[N,2]) -> (y) { const w: f32[2] = {0.75, -2}; const s: f32[] = {0.5}; const z: s8[] = {0}\n"
      "q = QuantizeLinear(w, s, z); d = DequantizeLinear(q, s, z); y = Add(x, d) }",
      // 0.75 / 0.5 = 1.5 is a tie: to even, 2
      "graph (x: f32[N,2]) -> (y) { const q: s8[2] = {2, -4}; const s: f32[] = {0.5}; const z: s8[] = {0}\n"
      "d = DequantizeLinear(q, s, z); y = Add(x, d) }");
}
TEST(FoldConstants, a_huge_result_of_a_small_constant_is_left_to_run_time) {
  expect_untouched("fold_constants",
                   "graph (x: f32[1]) -> (y) { const n: s64[1] = {20000000}; c = ConstantOfShape(n); y = Add(x, c) }");
}
TEST(FoldConstants, a_node_that_makes_a_graph_output_stays) {
  expect_untouched("fold_constants", "graph (x: f32[1]) -> (y, z) { const a: f32[1] = {1}; y = Relu(x); z = Relu(a) }");
}

TEST(FoldShapes, the_known_extent_of_a_partly_known_shape_is_a_constant) {
  expect_rewrite(
      "fold_shapes",
      "graph (x: f32[N,3,H,5]) -> (y) { const i: s64[] = {3}; s = Shape(x); g = Gather(s, i); y = Add(g, g) }",
      "graph (x: f32[N,3,H,5]) -> (y) { const g: s64[] = {5}; const i: s64[] = {3}\n"
      "s = Shape(x); y = Add(g, g) }");
}
TEST(FoldShapes, an_unknown_extent_stays_computed) {
  expect_untouched(
      "fold_shapes",
      "graph (x: f32[N,3]) -> (y) { const i: s64[] = {0}; s = Shape(x); g = Gather(s, i); y = Add(g, g) }");
}
TEST(FoldShapes, view_of_batch_and_rest_stays_free_in_the_batch) {
  const Graph graph = after_stage(Stage::clean, parsed(R"(graph (x: f32[N,3,2,2]) -> (y) {
      const i: s64[] = {0}; const zero: s64[1] = {0}; const rest: s64[1] = {-1}
      s = Shape(x); n = Gather(s, i); n1 = Unsqueeze(n, zero); shape = Concat(n1, rest, axis=0); y = Reshape(x, shape) })"));
  EXPECT_EQ(shown(graph), shown(parsed("graph (x: f32[N,3,2,2]) -> (y) { y = Flatten(x, axis=1) }")));
}
TEST(FoldShapes, arithmetic_on_extents_that_cancel_is_followed) {
  expect_rewrite("fold_shapes",
                 R"(graph (x: f32[N,6]) -> (y) { const i: s64[1] = {1}; const two: s64[1] = {2}; const m: s64[1] = {-1}
      s = Shape(x); c = Gather(s, i); h = Div(c, two); t = Concat(m, two, h, axis=0); y = Reshape(x, t) })",
                 R"(graph (x: f32[N,6]) -> (y) { const c: s64[1] = {6}; const h: s64[1] = {3}; const i: s64[1] = {1}
      const m: s64[1] = {-1}; const t: s64[3] = {-1, 2, 3}; const two: s64[1] = {2}; s = Shape(x); y = Reshape(x, t) })");
}

TEST(DeadCode, what_nobody_reads_goes_with_what_fed_it) {
  expect_rewrite("dead_code", "graph (x: f32[N]) -> (y) { a = Relu(x); b = Sigmoid(a); y = Tanh(x) }",
                 "graph (x: f32[N]) -> (y) { y = Tanh(x) }");
}

TEST(MergeDuplicates, equal_nodes_become_one) {
  expect_rewrite("merge_duplicates", "graph (x: f32[N]) -> (y) { a = Relu(x); b = Relu(x); y = Add(a, b) }",
                 "graph (x: f32[N]) -> (y) { a = Relu(x); y = Add(a, a) }");
}
TEST(MergeDuplicates, small_constants_are_compared_by_content) {
  expect_rewrite("merge_duplicates",
                 "graph (x: f32[N]) -> (y) { const p: f32[] = {2}; const q: f32[] = {2}\n"
                 "a = Mul(x, p); b = Mul(x, q); y = Add(a, b) }",
                 "graph (x: f32[N]) -> (y) { const p: f32[] = {2}; a = Mul(x, p); y = Add(a, a) }");
}
TEST(MergeDuplicates, other_attributes_are_other_nodes) {
  expect_untouched(
      "merge_duplicates",
      "graph (x: f32[N]) -> (y) { a = LeakyRelu(x, alpha=0.1); b = LeakyRelu(x, alpha=0.2); y = Add(a, b) }");
}
TEST(MergeDuplicates, a_graph_output_keeps_its_node) {
  expect_untouched("merge_duplicates", "graph (x: f32[N]) -> (y, z) { y = Relu(x); z = Relu(x) }");
}

}  // namespace
}  // namespace octet
