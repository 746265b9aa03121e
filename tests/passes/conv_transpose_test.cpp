// ConvTranspose as a Conv: the graph's text, and the numbers against ConvTranspose's own reference kernel, which the
// ONNX node tests judge. Weights and inputs are small whole numbers: every sum is exact, so answers are equal.
#include <cmath>

#include "passes/pass_test.h"

namespace octet {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Tensor whole_numbers(Dims dims, uint32_t seed) {
  std::vector<float> values = random_floats(static_cast<size_t>(*element_count(dims)), seed, -8, 8);
  for (float& v : values) v = std::round(v);
  return f32_tensor(std::move(dims), values);
}

/// x -> ConvTranspose -> y, with a bias.
struct Case {
  Dims x, w;
  Attributes attributes;
  Graph graph() const {
    Graph made;
    const ValueId in = made.add_value("x", DType::f32, to_shape(x));
    const int64_t group = std::get<int64_t>(attributes.contains("group") ? attributes.at("group") : int64_t{1});
    const ValueId weight = made.add_constant("w", whole_numbers(w, 7));
    const ValueId bias = made.add_constant("b", whole_numbers({w[1] * group}, 8));
    const ValueId y = made.add_value("y");
    made.inputs = {in};
    made.outputs = {y};
    made.nodes.push_back(Node{find_op("ConvTranspose"), "up", {in, weight, bias}, {y}, attributes});
    Result<Done> ok = infer_shapes(made);
    EXPECT_TRUE(ok) << ok.error().message;
    return made;
  }
  std::string text() const { return print(graph(), {.elide_constants = true}); }
};

/// What the pass makes of it gives the same bytes; false where it left the node alone.
bool gives_the_same(const Case& each) {
  const Graph before = each.graph(), after = after_pass("conv_transpose_to_conv", before);
  const std::map<std::string, Tensor> x = {{"x", whole_numbers(each.x, 9)}};
  const Tensor expected = evaluate(before, x).at("y"), given = evaluate(after, x).at("y");
  EXPECT_EQ(given.dims(), expected.dims()) << each.text();
  EXPECT_EQ(relative_difference(given, expected), 0.0) << each.text() << print(after, {.elide_constants = true});
  return std::none_of(after.nodes.begin(), after.nodes.end(), [](const Node& n) { return is_op(n, "ConvTranspose"); });
}

using Ints = std::vector<int64_t>;

TEST(ConvTransposeToConv, stride_1_is_the_kernel_reversed_with_the_other_pads) {
  expect_rewrite("conv_transpose_to_conv",
                 "graph (x: f32[N,1,4,4]) -> (y) { const w: f32[1,2,2,2] = {1, 2, 3, 4, 5, 6, 7, 8}\n"
                 "y = ConvTranspose(x, w, pads=[0,1,0,0]) @up }",
                 "graph (x: f32[N,1,4,4]) -> (y) { const w_reversed: f32[2,1,2,2] = {4, 3, 2, 1, 8, 7, 6, 5}\n"
                 "y = Conv(x, w_reversed, kernel_shape=[2,2], pads=[1,0,1,1]) @up }");
}
TEST(ConvTransposeToConv, a_kernel_of_the_stride_is_one_tap_for_each_phase) {
  expect_rewrite("conv_transpose_to_conv",
                 "graph (x: f32[N,1,H,W]) -> (y) { const w: f32[1,2,2,2] = {1, 2, 3, 4, 5, 6, 7, 8}\n"
                 "const b: f32[2] = {0.5, -1}; y = ConvTranspose(x, w, b, strides=[2,2]) @up }",
                 "graph (x: f32[N,1,H,W]) -> (y) { const w_phases: f32[8,1,1,1] = {1, 5, 2, 6, 3, 7, 4, 8}\n"
                 "const b_phases: f32[8] = {0.5, -1, 0.5, -1, 0.5, -1, 0.5, -1}\n"
                 "y_phases = Conv(x, w_phases, b_phases, kernel_shape=[1,1], pads=[0,0,0,0]) @up\n"
                 "y = DepthToSpace(y_phases, blocksize=2, mode=\"DCR\") @up_depth_to_space }");
}
TEST(ConvTransposeToConv, a_shift_of_the_phases_saves_taps_and_is_cut_off) {
  const Case gan{{1, 2, 5, 4}, {2, 3, 4, 4}, {{"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}}};
  const std::string text = print(after_pass("conv_transpose_to_conv", gan.graph()), {.elide_constants = true});
  EXPECT_THAT(text, HasSubstr("kernel_shape=[2,2], pads=[1,1,1,1]) @up : f32[1,12,6,5]"));
  EXPECT_THAT(text, HasSubstr("y_starts: s64[2] = {1, 1}"));
  EXPECT_THAT(text, HasSubstr("y_ends: s64[2] = {-1, -1}"));
  EXPECT_THAT(text, HasSubstr("y = Slice(y_uncut, y_starts, y_ends, y_axes) @up_cut : f32[1,3,10,8]"));
}
TEST(ConvTransposeToConv, output_padding_that_fills_the_phases_needs_no_cut) {
  const Case hourglass{{1, 2, 5, 4},
                       {2, 3, 3, 3},
                       {{"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}, {"output_padding", Ints{1, 1}}}};
  const std::string text = print(after_pass("conv_transpose_to_conv", hourglass.graph()), {.elide_constants = true});
  EXPECT_THAT(text, HasSubstr("kernel_shape=[2,2], pads=[0,0,1,1]) @up : f32[1,12,5,4]"));
  EXPECT_THAT(text, Not(HasSubstr("Slice")));
}

TEST(ConvTransposeToConv, gives_what_the_transposed_convolution_gives) {
  int rewritten = 0, all = 0;
  for (int64_t stride = 1; stride <= 4; ++stride)
    for (int64_t kernel = 1; kernel <= 9; ++kernel)
      for (int64_t begin = 0; begin < std::min<int64_t>(kernel, 5); ++begin)
        for (int64_t end = 0; end < std::min<int64_t>(kernel, 5); ++end)
          for (int64_t padding = 0; padding < stride; ++padding) {
            if (4 * stride + padding + kernel - begin - end < 1) continue;
            // The other axis has a smaller kernel and swapped pads.
            const int64_t other = std::max<int64_t>(1, kernel - 1);
            const Case each{{2, 2, 5, 6},
                            {2, 3, kernel, other},
                            {{"strides", Ints{stride, stride}},
                             {"pads", Ints{begin, std::min(end, other - 1), end, std::min(begin, other - 1)}},
                             {"output_padding", Ints{padding, stride - 1 - padding}}}};
            ++all;
            rewritten += gives_the_same(each);
            if (HasFailure()) return;
          }
  EXPECT_GT(rewritten, all * 9 / 10);  // the rest: kernels far smaller than the stride
}
TEST(ConvTransposeToConv, has_groups) {
  for (const int64_t stride : {1, 2, 3})
    for (const int64_t group : {2, 3, 6}) {
      const Case each{{1, 6, 4, 5},
                      {6, 2, 4, 3},
                      {{"strides", Ints{stride, stride}}, {"pads", Ints{1, 0, 0, 1}}, {"group", group}}};
      EXPECT_TRUE(gives_the_same(each));
    }
}
TEST(ConvTransposeToConv, has_one_two_or_three_axes_and_dilations_with_stride_1) {
  EXPECT_TRUE(gives_the_same({{1, 2, 9}, {2, 3, 4}, {{"pads", Ints{1, 2}}, {"dilations", Ints{2}}}}));
  EXPECT_TRUE(gives_the_same({{1, 2, 9, 4}, {2, 3, 4, 2}, {{"pads", Ints{6, 0, 2, 1}}, {"dilations", Ints{2, 3}}}}));
  EXPECT_TRUE(gives_the_same({{1, 2, 3, 4, 5}, {2, 3, 2, 3, 2}, {{"pads", Ints{0, 1, 1, 1, 1, 0}}}}));
}
TEST(ConvTransposeToConv, has_the_pads_that_lead_to_an_output_shape) {
  for (const char* mode : {"SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"})
    for (const int64_t kernel : {1, 2, 3, 4, 5})
      for (const int64_t stride : {1, 2, 3}) {
        const Case each{
            {1, 2, 4, 5}, {2, 1, kernel, kernel}, {{"strides", Ints{stride, stride}}, {"auto_pad", std::string(mode)}}};
        EXPECT_EQ(gives_the_same(each), kernel * kernel * 4 >= stride * stride);
        Case shaped = each;
        shaped.attributes["output_shape"] = Ints{3 * stride + kernel, 4 * stride + (kernel + 1) / 2};
        gives_the_same(shaped);
      }
}
TEST(ConvTransposeToConv, leaves_the_others_alone) {
  const std::string begin = "graph (x: f32[N,1,4,4]) -> (y) { const w: f32[1,2,2,2] = {1, 2, 3, 4, 5, 6, 7, 8}\n";
  expect_untouched("conv_transpose_to_conv", begin + "y = ConvTranspose(x, w, strides=[2,1]) }");
  expect_untouched("conv_transpose_to_conv", begin + "y = ConvTranspose(x, w, strides=[2,2], dilations=[2,1]) }");
  expect_untouched("conv_transpose_to_conv", begin + "y = ConvTranspose(x, w, strides=[5,5]) }");
  expect_untouched("conv_transpose_to_conv", begin + "y = ConvTranspose(x, w, pads=[2,0,0,0]) }");
  expect_untouched("conv_transpose_to_conv",
                   "graph (x: f32[N,1,4,4], w: f32[1,2,2,2]) -> (y) { y = ConvTranspose(x, w) }");
  expect_untouched("conv_transpose_to_conv",
                   "graph (x: f32[N,1,4,4], b: f32[1]) -> (y) { const w: f32[1,1,1,1] = {2}\n"
                   "y = ConvTranspose(x, w, b) }");
  expect_untouched(
      "conv_transpose_to_conv",
      "graph (x: f32[N,1,4]) -> (y) { const w: f32[1,1,2] = {1, 2}; y = ConvTranspose(x, w, strides=[2]) }");
  expect_untouched("conv_transpose_to_conv",
                   "graph (x: f32[N,1,H,4]) -> (y) { const w: f32[1,1,2,2] = {1, 2, 3, 4}\n"
                   "y = ConvTranspose(x, w, strides=[2,2], output_shape=[8,8]) }");
  // A stride that no kernel has is not gone through: 2^31 shifts would take minutes.
  expect_untouched("conv_transpose_to_conv",
                   "graph (x: f32[1,1,1,1]) -> (y) { const w: f32[1,1,2,2] = {1, 2, 3, 4}\n"
                   "y = ConvTranspose(x, w, strides=[2147483647,2147483647]) }");
}

TEST(ConvTransposeToConv, takes_a_batch_norm_and_an_activation_along) {
  for (const int64_t group : {1, 2}) {
    Graph graph =
        Case{{1, 4, 5, 4}, {4, 3, 4, 4}, {{"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}, {"group", group}}}
            .graph();
    const int64_t channels = 3 * group;
    std::vector<ValueId> inputs{graph.outputs[0]};
    for (uint32_t i = 0; i < 4; ++i)
      inputs.push_back(graph.add_constant("p", random_tensor({channels}, i, i == 3 ? 0.5f : -1.0f, 2.0f)));
    const ValueId n = graph.add_value("n"), z = graph.add_value("z");
    graph.nodes.push_back(Node{find_op("BatchNormalization"), "bn", inputs, {n}, {}});
    graph.nodes.push_back(Node{find_op("Relu"), "relu", {n}, {z}, {}});
    graph.outputs = {z};
    ASSERT_TRUE(infer_shapes(graph));
    const Graph after = after_stage(Stage::fuse, after_stage(Stage::clean, graph));
    ASSERT_EQ(after.nodes.size(), 3u);
    EXPECT_THAT(print(after, {.elide_constants = true}), HasSubstr("activation=\"Relu\""));
    const std::map<std::string, Tensor> x = {{"x", whole_numbers({1, 4, 5, 4}, 9)}};
    EXPECT_LT(relative_difference(evaluate(after, x).at("z"), evaluate(graph, x).at("z")), 1e-6);
  }
}

TEST(ActivationBeforePixels, becomes_part_of_the_conv) {
  const std::string begin =
      "graph (x: f32[N,1,4,4]) -> (z) { const w: f32[4,1,1,1] = {1, 2, 3, 4}; const s: s64[1] = {1}\n"
      "const e: s64[1] = {7}; const a: s64[1] = {2}\n";
  expect_rewrite(
      "activation_before_pixels",
      begin + "c = Conv(x, w); d = DepthToSpace(c, blocksize=2) @d; y = Slice(d, s, e, a) @s; z = Relu(y) @r }",
      begin +
          "c = Conv(x, w); z_deep = Relu(c) @r; d = DepthToSpace(z_deep, blocksize=2) @d\n"
          "z = Slice(d, s, e, a) @s }");
}
TEST(ActivationBeforePixels, stays_behind_what_others_read_or_no_conv_makes) {
  expect_untouched("activation_before_pixels",
                   "graph (x: f32[N,1,4,4]) -> (z, y) { const w: f32[4,1,1,1] = {1, 2, 3, 4}\n"
                   "c = Conv(x, w); y = DepthToSpace(c, blocksize=2); z = Relu(y) }");
  expect_untouched("activation_before_pixels",
                   "graph (x: f32[N,4,4,4]) -> (z) { y = DepthToSpace(x, blocksize=2); z = Relu(y) }");
}

// Codes as ONNX Runtime's quantize_static writes them: s8 weights, one scale a channel along axis 1.
const std::string k_quantized = R"(graph (x: f32[N,2,3,3]) -> (y) {
  const xs: f32[] = {0.5}; const xz: u8[] = {3}; const ys: f32[] = {2}; const yz: u8[] = {100}
  const w: s8[2,2,3,3] = {1, -2, 3, 4, 5, -6, 7, 8, 9, 10, 11, 12, -13, 14, 15, 16, 17, 18,
                          19, 20, 21, -22, 23, 24, 25, 26, 27, 28, 29, 30, 31, -32, 33, 34, 35, 36}
  const ws: f32[2] = {0.25, 0.5}; const wz: s8[2] = {0, 0}; const b: s32[2] = {40, -9}; const bs: f32[2] = {0.125, 0.25}
  q = QuantizeLinear(x, xs, xz); d = DequantizeLinear(q, xs, xz); wd = DequantizeLinear(w, ws, wz, axis=1)
  bd = DequantizeLinear(b, bs, axis=0); c = ConvTranspose(d, wd, bd, strides=[2,2], pads=[1,1,1,1]) @up
  yq = QuantizeLinear(c, ys, yz); y = DequantizeLinear(yq, ys, yz) })";

TEST(ConvTransposeToConv, codes_and_their_scales_go_with_the_channels) {
  const Graph before = parsed(k_quantized), after = after_stage(Stage::clean, before);
  const std::string text = print(after, {.elide_constants = true});
  EXPECT_THAT(text, HasSubstr("wd_phases = DequantizeLinear(w_phases, ws_phases, wz_phases, axis=0) : f32[8,2,2,2]"));
  EXPECT_THAT(text, HasSubstr("const ws_phases: f32[8] = {0.25, 0.5, 0.25, 0.5, 0.25, 0.5, 0.25, 0.5}"));
  const std::map<std::string, Tensor> x = {{"x", whole_numbers({2, 2, 3, 3}, 9)}};
  EXPECT_EQ(relative_difference(evaluate(after, x).at("y"), evaluate(before, x).at("y")), 0.0);
}
TEST(ConvTransposeToConv, of_codes_runs_in_integers_as_the_graph_says) {
  const Graph before = parsed(k_quantized);
  const Graph after = after_stage(Stage::fuse, after_stage(Stage::clean, before));
  const std::string text = print(after, {.elide_constants = true});
  EXPECT_THAT(text, HasSubstr("= QuantConv(q, up_w, up_w_scale, up_bias,"));
  EXPECT_THAT(text, HasSubstr("= DepthToSpace("));
  EXPECT_THAT(text, HasSubstr("yq = Slice("));
  const std::map<std::string, Tensor> x = {{"x", whole_numbers({2, 2, 3, 3}, 9)}};
  EXPECT_EQ(relative_difference(evaluate(after, x).at("y"), evaluate(before, x).at("y")), 0.0);
}
TEST(ConvTransposeToConv, groups_share_the_scales_of_their_channels) {
  std::string text = k_quantized;
  text.replace(text.find("strides=[2,2]"), 13, "strides=[2,2], group=2");
  text.replace(text.find("b: s32[2] = {40, -9}"), 20, "b: s32[4] = {40, -9, 7, 3}");
  text.replace(text.find("bs: f32[2] = {0.125, 0.25}"), 26, "bs: f32[4] = {0.125, 0.25, 0.125, 0.25}");
  const Graph before = parsed(text), after = after_stage(Stage::fuse, after_stage(Stage::clean, before));
  EXPECT_THAT(print(after, {.elide_constants = true}), HasSubstr("= QuantConv("));
  const std::map<std::string, Tensor> x = {{"x", whole_numbers({2, 2, 3, 3}, 9)}};
  EXPECT_EQ(relative_difference(evaluate(after, x).at("y"), evaluate(before, x).at("y")), 0.0);
}
TEST(ConvTransposeToConv, scales_of_inputs_stay) {
  std::string text = k_quantized;
  text.replace(text.find("axis=1"), 6, "axis=0");
  expect_untouched("conv_transpose_to_conv", text);
}
TEST(ConvTransposeToConv, zero_taps_of_codes_are_zero_points) {
  const std::string text =
      "graph (x: f32[N,1,3,3]) -> (y) { const w: u8[1,1,3,3] = {1, 2, 3, 4, 5, 6, 7, 8, 9}; const ws: f32[] = {0.5}\n"
      "const wz: u8[] = {128}; wd = DequantizeLinear(w, ws, wz); y = ConvTranspose(x, wd, strides=[2,2]) }";
  const Graph before = parsed(text), after = after_pass("conv_transpose_to_conv", before);
  EXPECT_THAT(print(after), HasSubstr("= Conv("));
  const std::map<std::string, Tensor> x = {{"x", whole_numbers({2, 1, 3, 3}, 9)}};
  EXPECT_EQ(relative_difference(evaluate(after, x).at("y"), evaluate(before, x).at("y")), 0.0);
}

TEST(ConvTransposeToConv, is_quantized_by_the_range_of_its_result_alone) {
  Graph graph = after_stage(
      Stage::clean,
      parsed("graph (x: f32[N,1,4,4]) -> (z) { const w: f32[1,1,4,4] = base64 "
             "\"AACAPwAAAEAAAEBAAACAQAAAoEAAAMBAAADgQAAAAEEAABBBAAAgQQAAMEEAAEBBAABQQQAAYEEAAHBBAACAQQ==\"\n"
             "const v: f32[2,1,1,1] = {1, 2}; y = ConvTranspose(x, w, strides=[2,2], pads=[1,1,1,1]) @up\n"
             "r = Relu(y); z = Conv(r, v) @last }"));
  CalibrationTable table;
  for (const char* name : {"x", "r"}) {
    TensorRange row{name, 0.0f, 255.0f, 1, {}};
    row.by_method.fill({255.0f, 0.0f, 255.0f});
    table.tensors.push_back(row);
  }
  Result<QuantizeReport> report = quantize(graph, table, {});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->quantized, report->total);
  const std::string text = print(after_stage(Stage::fuse, graph), {.elide_constants = true});
  EXPECT_THAT(text, HasSubstr("y_scale=1.0"));
  EXPECT_THAT(text, Not(HasSubstr("Dequantize")));
}

}  // namespace
}  // namespace octet
