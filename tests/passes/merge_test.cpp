// Transposes, reshapes and casts that meet; pads that go into what reads them; softmax from its pieces.
#include "passes/pass_test.h"

namespace octet {
namespace {

/// The pass twice and what nobody reads taken out; evaluated before and after to the same bytes.
void expect_equal_rewrite(std::string_view pass, const std::string& before, const std::string& after,
                          const std::map<std::string, Tensor>& inputs) {
  Graph graph = after_pass(pass, after_pass(pass, parsed(before)));
  compact(graph);
  EXPECT_EQ(shown(graph), shown(parsed(after)));
  EXPECT_EQ(evaluate(graph, inputs).at("y"), evaluate(parsed(before), inputs).at("y")) << before;
}

TEST(MergeTransposes, one_behind_the_other_is_one_of_both) {
  const std::map<std::string, Tensor> x = {{"x", random_tensor({2, 3, 4, 5}, 1)}};
  expect_equal_rewrite("merge_transposes",
                       "graph (x: f32[2,3,4,5]) -> (y) { a = Transpose(x, perm=[0,2,3,1]); y = Transpose(a, "
                       "perm=[1,0,3,2]) @t }",
                       "graph (x: f32[2,3,4,5]) -> (y) { y = Transpose(x, perm=[2,0,1,3]) @t }", x);
  expect_equal_rewrite("merge_transposes",
                       "graph (x: f32[2,3,4,5]) -> (y) { a = Transpose(x, perm=[0,2,3,1]); y = Transpose(a) @t }",
                       "graph (x: f32[2,3,4,5]) -> (y) { y = Transpose(x, perm=[1,3,2,0]) @t }", x);
}

TEST(MergeTransposes, inverse_ones_cancel_around_element_wise_ops_and_their_constants) {
  const Graph graph = after_stage(Stage::clean, parsed(R"(graph (x: f32[N,3,4,5]) -> (y) {
      const b: f32[3] = {1,2,3}; const s: f32[] = {0.5}
      t = Transpose(x, perm=[0,2,3,1]); a = Add(t, b); m = Mul(s, a); r = Elu(m); u = Transpose(r, perm=[0,3,1,2])
      y = Neg(u) })"));
  // What is left is a shift and a scale of channels.
  for (const Node& node : graph.nodes) EXPECT_FALSE(is_op(node, "Transpose"));
  expect_equal_rewrite(
      "merge_transposes",
      "graph (x: f32[2,3,4,5]) -> (y) { const b: f32[3] = {1,2,3} t = Transpose(x, perm=[0,2,3,1]); a = Add(t, b); r = "
      "Elu(a); y = Transpose(r, perm=[0,3,1,2]) }",
      "graph (x: f32[2,3,4,5]) -> (y) { const b_t: f32[1,3,1,1] = {1,2,3} a = Add(x, b_t); r = Elu(a); y = "
      "Transpose(r, "
      "perm=[0,1,2,3]) }",
      {{"x", random_tensor({2, 3, 4, 5}, 2)}});
}

TEST(MergeTransposes, scales_of_channels_move_with_their_axis) {
  expect_equal_rewrite("merge_transposes",
                       R"(graph (x: f32[2,3,4]) -> (y) { const s: f32[3] = {0.1,0.2,0.3} const z: s8[3] = {0,1,2}
      t = Transpose(x, perm=[0,2,1]); q = QuantizeLinear(t, s, z, axis=-1); d = DequantizeLinear(q, s, z, axis=2)
      y = Transpose(d, perm=[2,0,1]) })",
                       R"(graph (x: f32[2,3,4]) -> (y) { const s: f32[3] = {0.1,0.2,0.3} const z: s8[3] = {0,1,2}
      q = QuantizeLinear(x, s, z, axis=1); d = DequantizeLinear(q, s, z, axis=1); y = Transpose(d, perm=[1,0,2]) })",
                       {{"x", random_tensor({2, 3, 4}, 3)}});
}

TEST(MergeTransposes, two_values_transposed_alike_are_added_first) {
  expect_equal_rewrite(
      "merge_transposes",
      "graph (a: f32[2,3,4], b: f32[2,1,4]) -> (y) { p = Transpose(a, perm=[2,0,1]); q = Transpose(b, perm=[2,0,1]); y "
      "= "
      "Sub(p, q) @s }",
      "graph (a: f32[2,3,4], b: f32[2,1,4]) -> (y) { y_t = Sub(a, b) @s; y = Transpose(y_t, perm=[2,0,1]) }",
      {{"a", random_tensor({2, 3, 4}, 4)}, {"b", random_tensor({2, 1, 4}, 5)}});
}

TEST(MergeTransposes, leaves_what_others_read_and_what_is_not_element_wise) {
  const std::string in = "graph (x: f32[2,3,4]) -> (y";
  expect_untouched("merge_transposes", in + ", t) { t = Transpose(x, perm=[0,2,1]); y = Transpose(t, perm=[0,2,1]) }");
  expect_untouched("merge_transposes",
                   in + ", r) { t = Transpose(x, perm=[0,2,1]); r = Relu(t); y = Transpose(r, perm=[0,2,1]) }");
  expect_untouched("merge_transposes",
                   in + ") { t = Transpose(x, perm=[0,2,1]); r = Softmax(t); y = Transpose(r, perm=[0,2,1]) }");
  expect_untouched("merge_transposes", in + ") { const c: f32[1,1,1,1] = {2} t = Transpose(x, perm=[0,2,1]); r = "
                                            "Add(t, c); y = Transpose(r, perm=[0,1,3,2]) }");
  expect_untouched("merge_transposes",
                   "graph (a: f32[3,3,3], b: f32[3,3,3]) -> (y) { p = Transpose(a, perm=[0,2,1]); q "
                   "= Transpose(b, perm=[2,0,1]); y = Add(p, q) }");
}

TEST(MergeReshapes, a_chain_is_one_reshape_that_keeps_the_batch) {
  expect_equal_rewrite(
      "merge_reshapes",
      R"(graph (x: f32[2,3,4]) -> (y) { const a: s64[2] = {2,12} const b: s64[4] = {2,2,3,2} const ax: s64[1] = {0}
      r = Reshape(x, a); s = Reshape(r, b); y = Unsqueeze(s, ax) @u })",
      R"(graph (x: f32[2,3,4]) -> (y) { const y_shape: s64[5] = {1,2,2,3,2} y = Reshape(x, y_shape) @u })",
      {{"x", random_tensor({2, 3, 4}, 1)}});
  Graph graph = after_pass("merge_reshapes", parsed(R"(graph (x: f32[N,3,4]) -> (y) {
      const a: s64[2] = {0,12} const b: s64[3] = {0,2,6} r = Reshape(x, a); y = Reshape(r, b) })"));
  compact(graph);
  EXPECT_EQ(shown(graph), shown(parsed(R"(graph (x: f32[N,3,4]) -> (y) { const y_shape: s64[3] = {0,2,6}
      y = Reshape(x, y_shape) })")));
}

TEST(MergeReshapes, a_shape_that_comes_back_needs_none) {
  Graph graph = after_pass("merge_reshapes", parsed(R"(graph (x: f32[N,3,4]) -> (y) {
      const a: s64[2] = {-1,4} const b: s64[3] = {-1,3,4} const s: f32[] = {0.1} const z: u8[] = {7}
      n = Neg(x); r = Reshape(n, a); q = QuantizeLinear(r, s, z); d = DequantizeLinear(q, s, z); e = Reshape(d, b)
      y = Relu(e) })"));
  compact(graph);
  EXPECT_EQ(shown(graph), shown(parsed(R"(graph (x: f32[N,3,4]) -> (y) { const s: f32[] = {0.1} const z: u8[] = {7}
      n = Neg(x); q = QuantizeLinear(n, s, z); d = DequantizeLinear(q, s, z); y = Relu(d) })")));
}

TEST(MergeReshapes, leaves_constants_of_several_elements_and_what_others_read) {
  expect_untouched("merge_reshapes", R"(graph (x: f32[2,12]) -> (y) { const a: s64[3] = {2,3,4}
      const b: s64[2] = {2,12} const c: f32[4] = {1,2,3,4} r = Reshape(x, a); s = Add(r, c); y = Reshape(s, b) })");
  expect_untouched("merge_reshapes", R"(graph (x: f32[2,12]) -> (y, r) { const a: s64[3] = {2,3,4}
      const b: s64[2] = {2,12} r = Reshape(x, a); y = Reshape(r, b) })");
}

TEST(MergeCasts, through_a_dtype_that_holds_every_value) {
  const auto casts = [](const std::string& from, const std::string& via, const std::string& to) {
    return "graph (x: " + from + "[4]) -> (y) { a = Cast(x, to=\"" + via + "\"); y = Cast(a, to=\"" + to + "\") }";
  };
  for (const auto& [from, via, to] : std::vector<std::array<std::string, 3>>{{"f32", "f64", "f16"},
                                                                             {"f16", "f32", "s32"},
                                                                             {"bf16", "f32", "f64"},
                                                                             {"s32", "s64", "f32"},
                                                                             {"u8", "f16", "s16"},
                                                                             {"s8", "s16", "u8"},
                                                                             {"u32", "s64", "f32"},
                                                                             {"s32", "f64", "s64"},
                                                                             {"bool", "f32", "s8"}}) {
    Graph graph = after_pass("merge_casts", parsed(casts(from, via, to)));
    EXPECT_EQ(shown(after_pass("dead_code", graph)),
              shown(parsed("graph (x: " + from + "[4]) -> (y) { y = Cast(x, to=\"" + to + "\") }")));
  }
  for (const auto& [from, via, to] : std::vector<std::array<std::string, 3>>{{"f32", "f16", "f32"},
                                                                             {"f32", "s32", "f32"},
                                                                             {"s32", "f32", "s64"},
                                                                             {"s64", "f64", "s64"},
                                                                             {"s8", "u8", "s32"},
                                                                             {"u16", "f16", "f32"},
                                                                             {"bf16", "f16", "f32"},
                                                                             {"f16", "bf16", "f32"},
                                                                             {"u8", "bool", "f32"},
                                                                             {"u64", "s64", "f64"},
                                                                             {"u8", "f16", "s8"},  // 200: 127, not -56
                                                                             {"s32", "f64", "u8"},
                                                                             {"s8", "f32", "u4"},
                                                                             {"s8", "f32", "u64"}})
    expect_untouched("merge_casts", casts(from, via, to));
}

TEST(MergeCasts, one_back_to_its_own_dtype_is_none) {
  EXPECT_EQ(
      shown(after_stage(Stage::clean, parsed("graph (x: f32[4]) -> (y) { r = Relu(x); a = Cast(r, to=\"f64\"); b = "
                                             "Cast(a, to=\"f32\"); y = Neg(b) }"))),
      shown(parsed("graph (x: f32[4]) -> (y) { r = Relu(x); y = Neg(r) }")));
}

TEST(FoldPad, into_pools_where_the_result_is_the_same) {
  const std::string x = "graph (x: f32[1,2,5,5]) -> (y) { ", pads = "const p: s64[8] = {0,0,1,0,0,0,1,1}; ";
  const std::map<std::string, Tensor> inputs = {{"x", random_tensor({1, 2, 5, 5}, 1)}};
  const auto pooled = [&](const std::string& value, const std::string& source, const std::string& pool) {
    return x + pads + "const v: f32[] = {" + value + "}; r = " + source + "(x); a = Pad(r, p, v); y = " + pool + " }";
  };
  const auto expect_folded = [&](const std::string& text, const std::string& after) {
    expect_equal_rewrite("fold_pad", text, x + after + " }", inputs);
  };
  expect_folded(pooled("-inf", "Neg", "MaxPool(a, kernel_shape=[3,3], strides=[2,2])"),
                "r = Neg(x); y = MaxPool(r, kernel_shape=[3,3], pads=[1,0,1,1], strides=[2,2])");
  expect_folded(pooled("0", "Relu", "MaxPool(a, kernel_shape=[3,3], pads=[1,1,1,1])"),
                "r = Relu(x); y = MaxPool(r, kernel_shape=[3,3], pads=[2,1,2,2])");
  expect_folded(pooled("0", "Neg", "LpPool(a, kernel_shape=[3,3], p=2)"),
                "r = Neg(x); y = LpPool(r, kernel_shape=[3,3], p=2, pads=[1,0,1,1])");
  expect_folded(pooled("0", "Neg", "AveragePool(a, kernel_shape=[3,3])"),
                "r = Neg(x); y = AveragePool(r, count_include_pad=1, kernel_shape=[3,3], pads=[1,0,1,1])");
  // Zeros beside negative values, windows of padding alone, windows that end in it, and a divisor that leaves it out.
  expect_untouched("fold_pad", pooled("0", "Neg", "MaxPool(a, kernel_shape=[3,3])"));
  expect_untouched("fold_pad", pooled("-inf", "Neg", "MaxPool(a, kernel_shape=[1,3])"));
  expect_untouched("fold_pad", pooled("-inf", "Neg", "MaxPool(a, kernel_shape=[3,3], dilations=[2,2])"));
  expect_untouched("fold_pad", pooled("-inf", "Neg", "MaxPool(a, kernel_shape=[3,3], strides=[2,2], ceil_mode=1)"));
  expect_untouched("fold_pad", pooled("0", "Neg", "AveragePool(a, kernel_shape=[3,3], pads=[1,1,1,1])"));
  expect_untouched("fold_pad", pooled("1", "Relu", "AveragePool(a, kernel_shape=[3,3])"));
  expect_untouched("fold_pad",
                   pooled("0", "Neg", "AveragePool(a, count_include_pad=1, kernel_shape=[2,2], pads=[1,1,1,1])"));
  expect_untouched("fold_pad", pooled("0", "Neg", "LpPool(a, kernel_shape=[3,1], p=2)"));
  expect_folded(
      pooled("0", "Neg", "AveragePool(a, dilations=[2,2], kernel_shape=[2,2])"),
      "r = Neg(x); y = AveragePool(r, count_include_pad=1, dilations=[2,2], kernel_shape=[2,2], pads=[1,0,1,1])");
}

TEST(FoldPad, of_one_and_three_axes_and_past_the_codes_of_zero) {
  expect_equal_rewrite(
      "fold_pad",
      "graph (x: f32[1,1,6]) -> (y) { const p: s64[6] = {0,0,2,0,0,1}; const w: f32[1,1,3] = {1,2,3}; a = "
      "Pad(x, p); y = Conv(a, w) }",
      "graph (x: f32[1,1,6]) -> (y) { const w: f32[1,1,3] = {1,2,3}; y = Conv(x, w, pads=[2,1]) }",
      {{"x", random_tensor({1, 1, 6}, 1)}});
  expect_equal_rewrite(
      "fold_pad",
      R"(graph (x: f32[1,1,4,4]) -> (y) { const p: s64[4] = {1,1,1,1}; const ax: s64[2] = {2,3}; const s: f32[] = {0.05}
      const z: u8[] = {90}; const w: f32[1,1,2,2] = {1,2,3,4}; const v: f32[] = {0}; a = Pad(x, p, v, ax)
      q = QuantizeLinear(a, s, z); d = DequantizeLinear(q, s, z); y = Conv(d, w) })",
      R"(graph (x: f32[1,1,4,4]) -> (y) { const s: f32[] = {0.05} const z: u8[] = {90} const w: f32[1,1,2,2] = {1,2,3,4}
      q = QuantizeLinear(x, s, z); d = DequantizeLinear(q, s, z); y = Conv(d, w, pads=[1,1,1,1]) })",
      {{"x", random_tensor({1, 1, 4, 4}, 1)}});
}

const std::string k_shifted = "const a: s64[1] = {-1}; m = ReduceMax(x, a); d = Sub(x, m); e = Exp(d); ";

TEST(RecogniseSoftmax, and_its_logarithm) {
  const std::string in = "graph (x: f32[2,3,4]) -> (y) { ";
  const std::map<std::string, Tensor> inputs = {{"x", random_tensor({2, 3, 4}, 5)}};
  for (const auto& [end, op] : std::vector<std::pair<std::string, std::string>>{
           {"s = ReduceSum(e, a); y = Div(e, s) @end }", "Softmax"},
           {"s = ReduceSum(e, a); l = Log(s); y = Sub(d, l) @end }", "LogSoftmax"}}) {
    Graph graph = after_pass("recognise_softmax", parsed(in + k_shifted + end));
    compact(graph);
    EXPECT_EQ(shown(graph), shown(parsed(in + "y = " + op + "(x, axis=2) @end }")));
    EXPECT_LE(
        relative_difference(evaluate(graph, inputs).at("y"), evaluate(parsed(in + k_shifted + end), inputs).at("y")),
        1e-6);
  }
}

TEST(RecogniseSoftmax, leaves_other_axes_pieces_that_others_read_and_sums_without_a_maximum) {
  const std::string in = "graph (x: f32[2,3,4]) -> (y";
  const std::string end = "s = ReduceSum(e, a); y = Div(e, s) }";
  expect_untouched("recognise_softmax", in + ", e) { " + k_shifted + end);
  expect_untouched("recognise_softmax", in + ", d) { " + k_shifted + end);
  expect_untouched("recognise_softmax", in + ", s) { " + k_shifted + end);
  expect_untouched("recognise_softmax",
                   in + ") { " + k_shifted + "const b: s64[1] = {1}; s = ReduceSum(e, b); y = Div(e, s) }");
  expect_untouched("recognise_softmax", in + ") { const a: s64[1] = {2}; e = Exp(x); " + end);
}

}  // namespace
}  // namespace octet
