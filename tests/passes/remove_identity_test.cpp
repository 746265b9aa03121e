#include "passes/pass_test.h"

namespace octet {
namespace {

TEST(RemoveIdentity, readers_read_the_source) {
  expect_rewrite("remove_identity", "graph (x: f32[N,3]) -> (y) { h = Identity(x); y = Relu(h) }",
                 "graph (x: f32[N,3]) -> (y) { y = Relu(x) }");
}
TEST(RemoveIdentity, a_graph_output_keeps_its_name) {
  expect_rewrite("remove_identity", "graph (x: f32[N,3]) -> (y) { h = Relu(x); y = Identity(h) }",
                 "graph (x: f32[N,3]) -> (y) { y = Relu(x) }");
}
TEST(RemoveIdentity, an_input_that_is_an_output_stays_behind_identity) {
  expect_untouched("remove_identity", "graph (x: f32[N,3]) -> (y) { y = Identity(x) }");
}
TEST(RemoveIdentity, two_outputs_of_one_value_keep_both_names) {
  expect_rewrite("remove_identity", "graph (x: f32[N,3]) -> (y, z) { h = Relu(x); y = Identity(h); z = Identity(h) }",
                 "graph (x: f32[N,3]) -> (y, z) { y = Relu(x); z = Identity(y) }");
}
TEST(RemoveIdentity, reshape_to_the_same_shape_goes_with_a_free_batch) {
  expect_rewrite("remove_identity",
                 "graph (x: f32[N,3,4]) -> (y) { const s: s64[3] = {-1, 3, 4}; h = Reshape(x, s); y = Relu(h) }",
                 "graph (x: f32[N,3,4]) -> (y) { y = Relu(x) }");
}
TEST(RemoveIdentity, reshape_that_moves_extents_stays) {
  expect_untouched("remove_identity",
                   "graph (x: f32[N,3,4]) -> (y) { const s: s64[3] = {-1, 4, 3}; h = Reshape(x, s); y = Relu(h) }");
}
TEST(RemoveIdentity, a_slice_of_everything_goes_and_a_reversed_one_stays) {
  expect_rewrite("remove_identity",
                 "graph (x: f32[N,3]) -> (y) { const b: s64[1] = {0}; const e: s64[1] = {9223372036854775807}\n"
                 "const a: s64[1] = {0}; h = Slice(x, b, e, a); y = Relu(h) }",
                 "graph (x: f32[N,3]) -> (y) { y = Relu(x) }");
  expect_untouched("remove_identity",
                   "graph (x: f32[N,3]) -> (y) { const b: s64[1] = {-1}; const e: s64[1] = {-9223372036854775807}\n"
                   "const a: s64[1] = {1}; const s: s64[1] = {-1}; h = Slice(x, b, e, a, s); y = Relu(h) }");
}
TEST(RemoveIdentity, a_pad_by_zero_elements_goes) {
  expect_rewrite("remove_identity",
                 "graph (x: f32[N,3]) -> (y) { const p: s64[4] = {0, 0, 0, 0}; h = Pad(x, p); y = Relu(h) }",
                 "graph (x: f32[N,3]) -> (y) { y = Relu(x) }");
}
TEST(RemoveIdentity, adding_zero_goes_unless_it_widens) {
  expect_rewrite("remove_identity",
                 "graph (x: f32[N,3]) -> (y) { const z: f32[3] = {0, 0, 0}; h = Add(z, x); y = Relu(h) }",
                 "graph (x: f32[N,3]) -> (y) { y = Relu(x) }");
  expect_untouched("remove_identity",
                   "graph (x: f32[1,3]) -> (y) { const z: f32[2,1] = {0, 0}; h = Add(x, z); y = Relu(h) }");
}
TEST(RemoveIdentity, one_divided_by_x_is_not_x_divided_by_one) {
  expect_untouched("remove_identity",
                   "graph (x: f32[N,3]) -> (y) { const c: f32[] = {1}; h = Div(c, x); y = Relu(h) }");
}
TEST(RemoveIdentity, a_cast_to_the_same_type_goes) {
  expect_rewrite("remove_identity", "graph (x: f32[N,3]) -> (y) { h = Cast(x, to=\"f32\"); y = Relu(h) }",
                 "graph (x: f32[N,3]) -> (y) { y = Relu(x) }");
  expect_untouched("remove_identity", "graph (x: s32[N,3]) -> (y) { h = Cast(x, to=\"f32\"); y = Relu(h) }");
}
TEST(RemoveIdentity, a_quantize_dequantize_pair_stays) {
  expect_untouched("remove_identity",
                   "graph (x: f32[N,3]) -> (y) { const s: f32[] = {0.5}; const z: u8[] = {0}\n"
                   "q = QuantizeLinear(x, s, z); d = DequantizeLinear(q, s, z); y = Relu(d) }");
}

}  // namespace
}  // namespace octet
