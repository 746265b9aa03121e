// The pass that averages in front of a 1x1 convolution: what moves, that the numbers stay, and what does not move.
#include "passes/pass_test.h"

namespace octet {
namespace {

constexpr std::string_view k_pass = "pool_before_conv";

/// Sizes of x, of the convolution's weight, and what the convolution and the pool are told.
struct Case {
  std::string x, w, conv, pool;
  bool has_bias = true;
};

std::string text_of(const Case& c) {
  const std::string channels = c.w.substr(0, c.w.find(','));
  return "graph (x: f32[" + c.x + "], w: f32[" + c.w + "], b: f32[" + channels + "]) -> (y) { a = Conv(x, w" +
         (c.has_bias ? ", b" : "") + c.conv + ") @c; y = " + c.pool + " @p }";
}

Dims dims_of(const std::string& text) {
  Dims dims;
  for (size_t at = 0; at < text.size();
       at = text.find(',', at) == std::string::npos ? text.size() : text.find(',', at) + 1)
    dims.push_back(std::stoll(text.substr(at)));
  return dims;
}

void expect_moved(const Case& c) {
  const std::string text = text_of(c);
  const Graph before = parsed(text), after = after_pass(k_pass, parsed(text));
  ASSERT_EQ(after.nodes.size(), 2u) << text;
  EXPECT_TRUE(is_op(after.nodes[1], "Conv")) << text;
  const Dims w = dims_of(c.w);
  const std::map<std::string, Tensor> inputs = {
      {"x", random_tensor(dims_of(c.x), 1)}, {"w", random_tensor(w, 2)}, {"b", random_tensor({w[0]}, 3, 1.0f, 3.0f)}};
  EXPECT_LE(relative_difference(evaluate(after, inputs).at("y"), evaluate(before, inputs).at("y")), 1e-6) << text;
}

void expect_kept(const Case& c) { expect_untouched(k_pass, text_of(c)); }

const std::string k_halves = "AveragePool(a, kernel_shape=[2,2], strides=[2,2])";
const std::string k_padded = "AveragePool(a, kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]";

TEST(PoolBeforeConv, names_of_nodes_and_of_the_result_stay) {
  expect_rewrite(k_pass,
                 R"(graph (x: f32[N,2,4,4]) -> (y) {
      const w: f32[16,2,1,1] = {0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31}
      const b: f32[16] = {0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15}
      r = Relu(x); a = Conv(r, w, b, kernel_shape=[1,1]) @conv; p = AveragePool(a, kernel_shape=[2,2], strides=[2,2]) @pool
      y = Neg(p) })",
                 R"(graph (x: f32[N,2,4,4]) -> (y) {
      const w: f32[16,2,1,1] = {0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31}
      const b: f32[16] = {0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15}
      r = Relu(x); r_pooled = AveragePool(r, kernel_shape=[2,2], strides=[2,2]) @pool
      p = Conv(r_pooled, w, b, kernel_shape=[1,1]) @conv; y = Neg(p) })");
}

TEST(PoolBeforeConv, an_average_of_elements_alone_keeps_the_bias) {
  const std::string x = "2,6,7,7", w = "16,6,1,1";
  for (const std::string& pool :
       {k_halves, k_padded + ")", k_padded + ", count_include_pad=0, ceil_mode=1)",
        std::string("AveragePool(a, kernel_shape=[2,2], strides=[2,2], count_include_pad=1)"),
        std::string("AveragePool(a, kernel_shape=[2,2], strides=[2,2], ceil_mode=1)"),
        std::string("AveragePool(a, kernel_shape=[2,2], strides=[2,2], dilations=[3,2], count_include_pad=1)"),
        std::string("AveragePool(a, kernel_shape=[3,2], strides=[1,2], auto_pad=\"SAME_LOWER\")"),
        std::string("GlobalAveragePool(a)")})
    expect_moved({x, w, "", pool});
}

TEST(PoolBeforeConv, without_a_bias_padding_may_count) {
  const std::string x = "2,6,7,7", w = "16,6,1,1";
  for (const std::string& pool :
       {k_padded + ", count_include_pad=1)", k_padded + ", count_include_pad=1, ceil_mode=1)",
        k_padded + ", dilations=[2,2])",
        std::string(
            "AveragePool(a, kernel_shape=[2,2], strides=[2,2], auto_pad=\"SAME_UPPER\", count_include_pad=1)")}) {
    expect_moved({x, w, "", pool, false});
    expect_kept({x, w, "", pool});
  }
  const std::string zeros =
                        "graph (x: f32[1,2,5,5], w: f32[16,2,1,1]) -> (y) { const b: f32[16] = "
                        "{0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0}; ",
                    pool = " = AveragePool(";
  const std::string told = ", kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1], count_include_pad=1)";
  expect_rewrite(k_pass, zeros + "a = Conv(x, w, b); y = AveragePool(a" + told + " }",
                 zeros + "x_pooled = AveragePool(x" + told + "; y = Conv(x_pooled, w, b) }");
}

TEST(PoolBeforeConv, groups_and_any_number_of_spatial_axes) {
  expect_moved({"1,8,6,6", "16,2,1,1", ", group=4", k_halves});
  expect_moved({"1,8,6,6", "8,1,1,1", ", group=8", k_halves});
  expect_moved({"1,4,9", "24,4,1", "", "AveragePool(a, kernel_shape=[3], strides=[3])"});
  expect_moved({"1,4,4,4,4", "24,4,1,1,1", "", "AveragePool(a, kernel_shape=[2,2,2], strides=[2,2,2])"});
  expect_moved({"1,4,4,4", "24,4,1,1", ", strides=[1,1], pads=[0,0,0,0]", k_halves});
}

TEST(PoolBeforeConv, leaves_other_convolutions_and_pools) {
  const std::string x = "1,4,8,8", w = "16,4,1,1";
  expect_kept({x, "16,4,3,3", ", pads=[1,1,1,1]", k_halves});
  expect_kept({x, "16,4,1,3", ", pads=[0,1,0,1]", k_halves});
  expect_kept({x, w, ", strides=[2,2]", k_halves});
  expect_kept({x, w, ", pads=[1,0,0,0]", k_halves});
  expect_kept({x, w, "", "MaxPool(a, kernel_shape=[2,2], strides=[2,2])"});
  expect_kept({x, w, "", "LpPool(a, kernel_shape=[2,2], strides=[2,2], p=1)"});
  expect_kept({x, w, "", "GlobalMaxPool(a)"});
}

TEST(PoolBeforeConv, leaves_what_would_not_pay_off) {
  // As many pixels behind the pool as in front of it.
  expect_kept({"1,64,8,8", "64,64,1,1", "", "AveragePool(a, kernel_shape=[3,3], pads=[1,1,1,1])"});
  // The pool would have 64 channels to add where it has 4.
  expect_kept({"1,64,8,8", "4,64,1,1", "", k_halves});
  expect_moved({"1,64,8,8", "16,64,1,1", "", k_halves});
  // Windows that overlap so much that each pixel is added 16 times.
  const std::string wide = "AveragePool(a, kernel_shape=[8,8], strides=[2,2])";
  expect_kept({"1,64,8,8", "32,64,1,1", "", wide});
  expect_moved({"1,32,8,8", "32,32,1,1", "", wide});
}

TEST(PoolBeforeConv, leaves_what_others_see) {
  const std::string head = "(x: f32[1,4,8,8], w: f32[16,4,1,1]) -> ";
  expect_untouched(k_pass, "graph " + head + "(y, a) { a = Conv(x, w); y = " + k_halves + " }");
  expect_untouched(k_pass, "graph " + head + "(y, z) { a = Conv(x, w); y = " + k_halves + "; z = Neg(a) }");
  expect_untouched(k_pass, "graph " + head +
                               "(y) { c = Conv(x, w); a = Relu(c); y = AveragePool(a, kernel_shape=[2,2], "
                               "strides=[2,2]) }");
}

TEST(PoolBeforeConv, leaves_a_graph_of_codes_as_it_is) {
  const std::string constants = "const s: f32[] = {0.1}; const z: u8[] = {3}; const zw: s8[] = {0}; ";
  const std::string head = "graph (x: f32[1,4,8,8], w: f32[16,4,1,1], v: s8[16,4,1,1]) -> (y) { " + constants;
  expect_untouched(k_pass, head + "c = Conv(x, w); q = QuantizeLinear(c, s, z); a = DequantizeLinear(q, s, z); y = " +
                               k_halves + " }");
  expect_untouched(k_pass, head + "q = QuantizeLinear(x, s, z); d = DequantizeLinear(q, s, z); a = Conv(d, w); y = " +
                               k_halves + " }");
  expect_untouched(k_pass, head + "d = DequantizeLinear(v, s, zw); a = Conv(x, d); y = " + k_halves + " }");
}

/// Pre-activation, as DenseNet's transitions have it, with a mean over the image as exporters write it.
const char* const k_transition = R"(graph (x: f32[1,2,8,8]) -> (y) {
      const one: f32[2] = {1,2}; const two: f32[2] = {0.5,-0.5}; const var: f32[2] = {1,3}
      const w: f32[16,2,1,1] = {0,1,2,-3,4,5,-6,7,8,9,10,-11,12,13,14,15,16,17,-18,19,20,21,2,23,24,-25,26,27,28,29,3,1}
      const g: f32[16] = {1,1,1,1,1,1,1,1,2,2,2,2,2,2,2,2}; const h: f32[16] = {0,1,2,3,4,5,6,7,8,9,8,7,6,5,4,3}
      const axes: s64[2] = {2,3}
      n = BatchNormalization(x, one, two, two, var); r = Relu(n); c = Conv(r, w); a = BatchNormalization(c, g, h, h, g)
      )";

TEST(PoolBeforeConv, a_batch_norm_in_between_and_a_mean_written_as_a_reduction_are_seen) {
  for (const std::string& pool : {"y = " + k_halves + " }", std::string("y = ReduceMean(a, axes, keepdims=0) }")}) {
    const Graph before = parsed(k_transition + pool), after = after_stage(Stage::clean, parsed(k_transition + pool));
    EXPECT_THAT(print(after, {.elide_constants = true}), testing::HasSubstr("Conv(r_pooled, ")) << pool;
    const std::map<std::string, Tensor> x = {{"x", random_tensor({1, 2, 8, 8}, 4)}};
    EXPECT_LE(relative_difference(evaluate(after, x).at("y"), evaluate(before, x).at("y")), 1e-6);
  }
}

TEST(PoolBeforeConv, everything_between_codes_stays_between_codes) {
  const std::string text = k_transition + ("p = " + k_halves + "; y = Conv(p, v) }");
  const std::string with_v = std::string(text).replace(text.find("const one"), 0,
                                                       "const v: f32[1,16,1,1] = "
                                                       "{1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1}; ");
  const Graph clean = after_stage(Stage::clean, parsed(with_v));
  CalibrationTable table;
  for (const std::string& name : calibration_points(clean)) {
    if (name == "r_pooled") continue;  // as a cache of a program that pools behind the convolution
    TensorRange row{name, -2.0f, 3.0f, 1, {}};
    row.by_method.fill({3.0f, -2.0f, 3.0f});
    table.tensors.push_back(row);
  }
  Graph graph = clean;
  const Result<QuantizeReport> report = quantize(graph, table, {});
  ASSERT_TRUE(report) << report.error().message;
  for (const PlacementRow& row : report->rows)
    EXPECT_THAT(row.decision, testing::Not(testing::HasSubstr("float"))) << row.node;
  const Graph steps = after_stage(Stage::fuse, graph);
  std::vector<std::string> ops;
  for (const Node& node : steps.nodes) ops.emplace_back(node.op->name);
  EXPECT_THAT(ops, testing::ElementsAre("QuantizeLinear", "QuantConv", "QuantAveragePool", "QuantConv", "QuantConv"));
}

}  // namespace
}  // namespace octet
