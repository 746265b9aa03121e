// Placement: what gets Q/DQ, what stays float, and why.
#include <cmath>

#include "passes/pass_test.h"

namespace octet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

/// Ranges [lo, hi] for these values, the same by every method.
CalibrationTable table_of(const std::map<std::string, std::pair<float, float>>& ranges) {
  CalibrationTable table;
  for (const auto& [name, range] : ranges) {
    TensorRange row{name, range.first, range.second, 1, {}};
    row.by_method.fill({std::max(-range.first, range.second), range.first, range.second});
    table.tensors.push_back(row);
  }
  return table;
}
/// The same range for everything that quantize may ask for.
CalibrationTable full_table(const Graph& graph, float lo = -1.27f, float hi = 1.27f) {
  std::map<std::string, std::pair<float, float>> ranges;
  for (const std::string& name : calibration_points(graph)) ranges[name] = {lo, hi};
  return table_of(ranges);
}

struct Quantized {
  Graph graph;
  QuantizeReport report;
  std::string text() const { return print(graph, {.elide_constants = true}); }
  std::string decision(const std::string& node) const {
    for (const PlacementRow& row : report.rows)
      if (row.node == node) return row.decision;
    return "no row";
  }
};
Quantized quantized(const std::string& text, const CalibrationTable* table = nullptr,
                    const QuantizeOptions& options = {}) {
  Quantized result{parsed(text), {}};
  Result<QuantizeReport> report = quantize(result.graph, table ? *table : full_table(result.graph), options);
  EXPECT_TRUE(report) << report.error().message;
  if (report) result.report = *report;
  return result;
}
size_t count(const std::string& text, const std::string& word) {
  size_t n = 0;
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++n;
  return n;
}

const std::string k_w = "const w: f32[2,2,1,1] = {1.27, 0.5, -2.54, 1}; const b: f32[2] = {0.1, -0.2}\n";
const std::string k_w2 = "const w2: f32[2,2,1,1] = {1, 0.5, 0.25, 1}\n";
const std::string k_block = "graph (x: f32[N,2,4,4]) -> (y) {" + k_w + k_w2;

TEST(Quantize, writes_codes_scales_and_a_bias_on_the_grid) {
  const CalibrationTable table = table_of({{"x", {-1.27f, 1.27f}}});
  const Quantized q = quantized("graph (x: f32[N,2,4,4]) -> (y) {" + k_w + "y = Conv(x, w, b) @conv }", &table);
  EXPECT_EQ(shown(q.graph), shown(parsed(R"(graph (x: f32[N,2,4,4]) -> (y) {
      const x_scale: f32[] = {0.01}; const x_zero_point: s8[] = {0}
      const w_quantized: s8[2,2,1,1] = {127, 50, -127, 50}; const w_scale: f32[2] = {0.01, 0.02}; const w_zero_point: s8[2] = {0, 0}
      const b_quantized: s32[2] = {1000, -1000}; const b_scale: f32[2] = {0.000099999997, 0.00019999999}
      x_quantized = QuantizeLinear(x, x_scale, x_zero_point) @x_QuantizeLinear
      x_dequantized = DequantizeLinear(x_quantized, x_scale, x_zero_point) @x_DequantizeLinear
      w_dequantized = DequantizeLinear(w_quantized, w_scale, w_zero_point, axis=0) @w_DequantizeLinear
      b_dequantized = DequantizeLinear(b_quantized, b_scale, axis=0) @b_DequantizeLinear
      y = Conv(x_dequantized, w_dequantized, b_dequantized) @conv })")));
  EXPECT_EQ(q.decision("conv"), "int8");
}
TEST(Quantize, tensorrt_gets_the_bias_as_float_on_the_same_grid) {
  const CalibrationTable table = table_of({{"x", {0, 1.27f}}});
  const Quantized q = quantized("graph (x: f32[N,2,4,4]) -> (y) {" + k_w + "y = Conv(x, w, b) @conv }", &table,
                                {.target = Target::tensorrt, .keep_float = {}});
  EXPECT_THAT(shown(q.graph), HasSubstr("const b_on_grid: f32[2] = {0.099999994, -0.19999999}"));
  EXPECT_THAT(shown(q.graph), HasSubstr("const x_zero_point: s8[] = {0}"));
  EXPECT_EQ(count(q.text(), "s32["), 0u);
}
TEST(Quantize, one_pair_serves_all_readers_and_outputs_stay_float) {
  const Quantized q = quantized(
      k_block + "a = Conv(x, w, b); c = Relu(a); d = Conv(c, w2); e = Conv(c, w); y = Concat(d, e, axis=1) }");
  EXPECT_EQ(count(q.text(), "= QuantizeLinear("), 2u);  // x and c
  EXPECT_THAT(q.text(), HasSubstr("c_quantized = QuantizeLinear(c"));
  EXPECT_EQ(count(q.text(), "Conv(c_dequantized"), 2u);
}
TEST(Quantize, nothing_comes_between_a_conv_and_its_activation) {
  const Quantized q = quantized(k_block + "a = Conv(x, w, b) @conv; c = Silu(a) @act; y = Conv(c, w2) }");
  EXPECT_THAT(q.text(), Not(HasSubstr("a_quantized")));
  EXPECT_EQ(q.decision("act"), "fused into conv");
}

const std::string k_residual = k_block + R"(a = Conv(x, w, b) @conv1; c = Relu(a); d = Conv(c, w2) @conv2
  s = Add(d, c) @add; r = Relu(s) @act; y = Conv(r, w) @conv3 })";
TEST(Quantize, the_residual_add_is_quantized_on_its_identity_branch_only) {
  const Quantized q = quantized(k_residual);
  EXPECT_THAT(q.text(), HasSubstr("s = Add(d, c_dequantized)"));
  EXPECT_THAT(q.text(), Not(HasSubstr("d_quantized")));
  EXPECT_THAT(q.text(), Not(HasSubstr("s_quantized")));
  EXPECT_THAT(q.text(), HasSubstr("r_quantized"));
  EXPECT_EQ(q.decision("add"), "fused into conv2 (int32 + requantized skip)");
}
TEST(Quantize, of_two_conv_branches_the_earlier_one_gets_the_pair) {
  const Quantized q =
      quantized(k_block + "c = Conv(x, w, b) @one; d = Conv(x, w2) @two; s = Add(c, d) @add; y = Conv(s, w2) }");
  EXPECT_THAT(q.text(), HasSubstr("s = Add(c_dequantized, d)"));
  EXPECT_EQ(q.decision("add"), "fused into two (int32 + requantized skip)");
}
TEST(Quantize, an_add_without_a_conv_takes_both_operands_as_codes) {
  const Quantized q =
      quantized(k_block + R"(a = Conv(x, w, b); c = Relu(a); p = MaxPool(c, kernel_shape=[1,1], strides=[1,1])
      s = Add(p, c) @add; y = Conv(s, w2) })");
  EXPECT_THAT(q.text(), HasSubstr("s = Add(p_dequantized, c_dequantized)"));
}
TEST(Quantize, an_add_of_float_layers_stays_float) {
  const Quantized q = quantized(k_block + "a = Softmax(x); c = Softmax(a); s = Add(a, c) @add; y = Conv(s, w2) }");
  EXPECT_EQ(q.decision("add"), "float: an operand has no codes");
  EXPECT_THAT(q.text(), HasSubstr("s_quantized = QuantizeLinear(s"));
}
TEST(Quantize, squeeze_excite_multiplies_codes) {
  const Quantized q =
      quantized(k_block + R"(a = Conv(x, w, b); c = Silu(a); p = GlobalAveragePool(c) @pool; f = Conv(p, w2) @fc
      g = Sigmoid(f); m = Mul(c, g) @gate; y = Conv(m, w) })");
  EXPECT_THAT(q.text(), HasSubstr("m = Mul(c_dequantized, g_dequantized)"));
  EXPECT_THAT(q.text(), HasSubstr("p = GlobalAveragePool(c_dequantized)"));
  EXPECT_EQ(q.decision("pool"), "int8");
  EXPECT_EQ(q.report.quantized, q.report.total);
}
TEST(Quantize, a_concat_and_what_moves_share_one_scale) {
  Graph graph = parsed(
      R"(graph (x: f32[N,2,4,4]) -> (y) { const w: f32[2,2,1,1] = {1, 2, 3, 4}; const v: f32[1,4,1,1] = {1, 2, 3, 4}
      a = Conv(x, w); c = Relu(a); d = Conv(x, w); e = Relu(d); f = MaxPool(e, kernel_shape=[1,1]); k = Concat(c, f, axis=1); y = Conv(k, v) })");
  const CalibrationTable table =
      table_of({{"x", {-1, 1}}, {"c", {0, 2.55f}}, {"e", {0, 5.1f}}, {"f", {0, 5.0f}}, {"k", {0, 5.1f}}});
  Result<QuantizeReport> report = quantize(graph, table, {});
  ASSERT_TRUE(report) << report.error().message;
  for (const char* name : {"c_scale", "e_scale", "f_scale", "k_scale"})
    EXPECT_EQ(graph.constant(*graph.find_value(name))->at<float>(0), 5.1f / 255.0f) << name;
  EXPECT_THAT(report->notes, ElementsAre("one scale for 'c', 'e', 'f', 'k': steps up to 2 times a value's own"));
  const Graph fused = after_stage(Stage::fuse, graph);
  EXPECT_THAT(print(fused, {.elide_constants = true}),
              HasSubstr("k_quantized = Concat(c_quantized, f_quantized, axis=1)"));
}
TEST(Quantize, an_activation_between_codes_is_quantized_on_both_sides) {
  const Quantized q =
      quantized(k_block + "a = Conv(x, w, b); p = GlobalAveragePool(a); c = Tanh(p) @act; y = Conv(c, w2) }");
  EXPECT_THAT(q.text(), HasSubstr("c = Tanh(p_dequantized)"));
  EXPECT_EQ(q.decision("act"), "int8");
}
TEST(Quantize, an_activation_of_a_float_layer_stays_float) {
  const Quantized q = quantized(k_block + "a = Softmax(x); c = Relu(a) @act; y = Conv(c, w2) }");
  EXPECT_EQ(q.decision("act"), "float: its input has no codes");
}
TEST(Quantize, moves_behind_the_last_layer_stay_float) {
  const Quantized q = quantized(k_block + "a = Conv(x, w, b); y = Flatten(a, axis=1) @flat }");
  EXPECT_EQ(q.decision("flat"), "float: nothing behind it takes codes");
  EXPECT_THAT(q.text(), HasSubstr("y = Flatten(a, axis=1)"));
}
TEST(Quantize, a_missing_range_leaves_the_op_float_with_the_reason) {
  const CalibrationTable table = table_of({{"x", {-1, 1}}});
  const Quantized q = quantized(k_residual, &table);
  EXPECT_EQ(q.decision("conv1"), "int8");
  EXPECT_EQ(q.decision("conv2"), "float: no range for 'c'");
  EXPECT_EQ(q.decision("conv3"), "float: no range for 'r'");
}
TEST(Quantize, a_node_kept_float_is_left_alone_and_an_unknown_name_is_an_error) {
  const Quantized q = quantized(k_residual, nullptr, {.keep_float = {"conv2"}});
  EXPECT_EQ(q.decision("conv2"), "float: asked for");
  EXPECT_THAT(q.text(), HasSubstr("d = Conv(c, w2)"));
  EXPECT_EQ(q.decision("add"), "float: an operand has no codes");
  Graph graph = parsed(k_residual);
  Result<QuantizeReport> report = quantize(graph, full_table(graph), {.keep_float = {"conv9"}});
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().message,
              HasSubstr("cannot keep node 'conv9' in float: the graph has no node of this name"));
}
TEST(Quantize, a_float_reader_of_a_layer_that_ends_in_codes_reads_the_codes) {
  const Quantized q = quantized(
      k_block + "a = Conv(x, w, b); c = Relu(a); d = Conv(c, w2); e = Softmax(c); y = Concat(d, e, axis=1) }");
  EXPECT_THAT(q.text(), HasSubstr("e = Softmax(c_dequantized)"));
  const Quantized output =
      quantized("graph (x: f32[N,2,4,4]) -> (y, c) {" + k_w + k_w2 +
                "a = Conv(x, w, b); c = Relu(a); d = Conv(c, w2); e = Softmax(c); y = Concat(d, e, axis=1) }");
  EXPECT_THAT(output.text(), HasSubstr("e = Softmax(c)"));  // c is made in float anyway
}
TEST(Quantize, an_activation_that_an_integer_product_cannot_take_is_a_table_behind_it) {
  const Quantized q =
      quantized(k_block + R"(a = Conv(x, w, b); p = GlobalAveragePool(a); m = Mul(a, p) @gate; s = Silu(m) @act
      y = Conv(s, w2) })");
  EXPECT_THAT(q.text(), HasSubstr("s = Silu(m_dequantized)"));
  EXPECT_EQ(q.decision("act"), "int8");
  EXPECT_THAT(print(after_stage(Stage::fuse, q.graph), {.elide_constants = true}),
              HasSubstr("s_quantized = QuantLookup(m_quantized, s_quantized_table) @act"));
}
TEST(Quantize, a_sum_that_could_overflow_stays_float) {
  Graph graph = parsed("graph (x: f32[N,34000]) -> (y) { const w: f32[1] = {1}; y = Relu(x) }");
  const ValueId w = graph.add_constant("fc_w", f32_tensor({1, 34000}, std::vector<float>(34000, 1.0f)));
  graph.nodes[0] = Node{find_op("Gemm"), "fc", {graph.inputs[0], w}, graph.nodes[0].outputs, {{"transB", int64_t{1}}}};
  ASSERT_TRUE(infer_shapes(graph));
  Result<QuantizeReport> report = quantize(graph, table_of({{"x", {-1, 1}}}), {});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_THAT(report->rows.at(0).decision, HasSubstr("overflow int32"));
}
TEST(Quantize, a_weight_that_is_not_finite_stays_float) {
  const Quantized q =
      quantized("graph (x: f32[N,1,4,4]) -> (y) { const w: f32[1,1,1,1] = {inf}; y = Conv(x, w) @conv }");
  EXPECT_EQ(q.decision("conv"), "float: its weight is not finite");
}
TEST(Quantize, weak_channels_and_dead_tensors_are_reported) {
  const CalibrationTable table = table_of({{"x", {0, 0}}});
  const Quantized q = quantized(
      "graph (x: f32[N,2,4,4]) -> (y) { const w: f32[2,2,1,1] = {1, 2, 0, 0}; y = Conv(x, w) @conv }", &table);
  EXPECT_THAT(q.report.notes, ElementsAre(HasSubstr("'x': no value was seen but 0"),
                                          HasSubstr("conv: 1 of 2 channels are weak, the first is 1")));
}
TEST(Quantize, a_quantized_graph_is_refused) {
  Quantized q = quantized("graph (x: f32[N,2,4,4]) -> (y) {" + k_w + "y = Conv(x, w, b) @conv }");
  Result<QuantizeReport> again = quantize(q.graph, full_table(q.graph), {});
  ASSERT_FALSE(again);
  EXPECT_THAT(again.error().message, HasSubstr("the graph is quantized already"));
}

TEST(CalibrationPoints, are_the_values_that_become_codes_in_graph_order) {
  EXPECT_THAT(calibration_points(parsed(k_residual)), ElementsAre("x", "c", "r"));
}
TEST(CalibrationPoints, survive_the_fuse_stage_of_the_float_graph) {
  const Graph graph =
      parsed(k_block + R"(a = Conv(x, w, b); c = Silu(a); p = GlobalAveragePool(c); f = Conv(p, w2); g = Sigmoid(f)
      m = Mul(c, g); h = Conv(m, w); i = Conv(m, w2); s = Add(h, i); t = Relu(s); u = Add(t, m); y = Conv(u, w2) })");
  const Graph fused = after_stage(Stage::fuse, graph);
  for (const std::string& name : calibration_points(graph)) EXPECT_TRUE(fused.find_value(name)) << name;
}

TEST(QuantizeAndFuse, a_residual_block_becomes_integer_layers_only) {
  const Graph fused = after_stage(Stage::fuse, quantized(k_residual).graph);
  std::vector<std::string> ops;
  for (const Node& node : fused.nodes) ops.emplace_back(node.op->name);
  EXPECT_THAT(ops, ElementsAre("QuantizeLinear", "QuantConv", "QuantConv", "QuantConv"));
  EXPECT_THAT(print(fused, {.elide_constants = true}), HasSubstr("r_quantized = QuantConv(c_quantized"));
}

// ---- per-channel activations, on request

CalibrationTable with_channels(const Graph& graph) {
  CalibrationTable table = full_table(graph);
  for (TensorRange& row : table.tensors) row.channels = ChannelRanges{1, {-1.27f, -2.54f}, {0.5f, 1.0f}};
  return table;
}

TEST(Quantize, per_channel_inputs_of_convolutions_have_a_scale_for_each_channel) {
  const std::string text = "graph (x: f32[N,2,4,4]) -> (y) {" + k_w + "y = Conv(x, w, b) @conv }";
  const CalibrationTable table = with_channels(parsed(text));
  const Quantized q = quantized(text, &table, {.keep_float = {}, .per_channel = true});
  EXPECT_EQ(shown(q.graph), shown(parsed(R"(graph (x: f32[N,2,4,4]) -> (y) {
      const x_scale: f32[2] = {0.01, 0.02}; const x_zero_point: s8[2] = {0, 0}
      const w_quantized: s8[2,2,1,1] = {127, 50, -127, 50}; const w_scale: f32[2] = {0.01, 0.02}; const w_zero_point: s8[2] = {0, 0}
      const b: f32[2] = {0.1, -0.2}
      x_quantized = QuantizeLinear(x, x_scale, x_zero_point, axis=1) @x_QuantizeLinear
      x_dequantized = DequantizeLinear(x_quantized, x_scale, x_zero_point, axis=1) @x_DequantizeLinear
      w_dequantized = DequantizeLinear(w_quantized, w_scale, w_zero_point, axis=0) @w_DequantizeLinear
      y = Conv(x_dequantized, w_dequantized, b) @conv })")));
  EXPECT_EQ(q.decision("conv"), "fake: one scale a channel of its input; runs in float");
  EXPECT_EQ(q.report.quantized, 0) << "no integer layer";
}
TEST(Quantize, per_channel_leaves_alone_what_others_than_convolutions_read) {
  const CalibrationTable table = with_channels(parsed(k_residual));
  const Quantized q = quantized(k_residual, &table, {.keep_float = {}, .per_channel = true});
  EXPECT_THAT(shown(q.graph), HasSubstr("const x_scale: f32[2]"));
  EXPECT_THAT(shown(q.graph), HasSubstr("const c_scale: f32[] ")) << "the Add reads it too";
  EXPECT_EQ(q.decision("conv2"), "int8");
  EXPECT_EQ(q.decision("act"), "fused into add") << "conv2 carries them both";
  EXPECT_THAT(q.report.notes, ::testing::Contains(HasSubstr("per channel: 2 activations, 1 keep one scale")));
}
TEST(Quantize, per_channel_runs_as_the_same_graph_node_by_node) {
  Quantized q;
  const CalibrationTable table = with_channels(parsed(k_residual));
  q = quantized(k_residual, &table, {.keep_float = {}, .per_channel = true});
  Result<Done> bound = bind_shapes(q.graph, {.batch = 3, .shapes = {}});
  ASSERT_TRUE(bound) << bound.error().message;
  const Tensor x = random_tensor({3, 2, 4, 4}, 5, -2, 2);
  const Tensor plain = evaluate(q.graph, {{"x", x}}).at("y");
  const Tensor fused = evaluate(after_stage(Stage::fuse, q.graph), {{"x", x}}).at("y");
  EXPECT_LT(relative_difference(fused, plain), 1e-5);
}
TEST(Quantize, per_channel_is_refused_where_it_cannot_be) {
  Graph g = parsed(k_residual);
  const CalibrationTable plain = full_table(g), channels = with_channels(g);
  EXPECT_THAT(quantize(g, plain, {.keep_float = {}, .per_channel = true}).error().message,
              HasSubstr("the ranges hold no ends of channels; calibrate with --per-channel"));
  EXPECT_THAT(
      quantize(g, channels, {.target = Target::tensorrt, .keep_float = {}, .per_channel = true}).error().message,
      HasSubstr("TensorRT takes one scale an activation"));
}

}  // namespace
}  // namespace octet
