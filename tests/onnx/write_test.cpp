// Graph -> file: what is written reads back as the same graph; octet's own ops and younger ops in older words.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "onnx/lowering.h"
#include "onnx/reading.h"

namespace octet::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

Graph parsed(const std::string& text) {
  Result<Graph> graph = parse_graph(text);
  EXPECT_TRUE(graph) << (graph ? "" : graph.error().message);
  return graph ? *graph : Graph();
}

/// Writes and reads back; the outcome as text with the opset in front: "13: graph ...".
std::string rewritten(const std::string& text, int64_t opset = 0) {
  const Result<std::vector<std::byte>> bytes = write_onnx(parsed(text), {.opset = opset});
  if (!bytes) return "error: " + bytes.error().message;
  const Result<OnnxModel> model = read(*bytes);
  if (!model) return "unreadable: " + model.error().message;
  return std::to_string(model->info.opset) + ": " + print(model->graph);
}

/// The same graph, printed, with this opset in front.
std::string unchanged(const std::string& text, int64_t opset) {
  return std::to_string(opset) + ": " + print(parsed(text));
}

std::string one_line(const std::string& node, const std::string& type = "f32[N,4,6,6]") {
  return "graph g (x: " + type + ") -> (y) {\n  " + node + "\n}\n";
}

TEST(WriteOnnx, keeps_names_shapes_attributes_and_constants) {
  const std::string text = R"(graph "a net" (x: f32[N,3,?,8]) -> (y, "odd name") {
    const w: f32[2,3,1,1] = {1, -0.5, inf, nan, 0, 3}
    const s: f32[] = {0.25}
    const z: s8[] = {-3}
    q = QuantizeLinear(x, s, z) @q1
    d = DequantizeLinear(q, s, z)
    y = Conv(d, w, pads=[0,0,0,0], strides=[2,1]) @"conv 1"
    "odd name" = Relu(y)
  })";
  EXPECT_EQ(rewritten(text), unchanged(text, 13));
}

TEST(WriteOnnx, spells_the_dtype_of_an_identity_matrix_as_onnx_does) {
  const std::string text = "graph g (x: f32[4,6]) -> (y) {\n  y = EyeLike(x, dtype=\"s64\", k=-1)\n}\n";
  EXPECT_EQ(rewritten(text), unchanged(text, 13));
}

TEST(WriteOnnx, spells_the_modes_of_a_grid_as_the_opset_does) {
  const std::string plane = R"(graph g (x: f32[1,2,3,4], g: f32[1,5,6,2]) -> (y) {
    y = GridSample(x, g, mode="cubic")
  })";
  EXPECT_EQ(rewritten(plane), unchanged(plane, 16));  // written "bicubic"
  EXPECT_EQ(rewritten(plane, 20), unchanged(plane, 20));
  const std::string usual = R"(graph g (x: f32[1,2,3,4], g: f32[1,5,6,2]) -> (y) {
    y = GridSample(x, g, padding_mode="border")
  })";
  EXPECT_EQ(rewritten(usual), unchanged(usual, 16));
  const std::string solid = R"(graph g (x: f32[1,2,3,4,5], g: f32[1,5,6,7,3]) -> (y) {
    y = GridSample(x, g, mode="nearest")
  })";
  EXPECT_EQ(rewritten(solid), unchanged(solid, 20));
}

TEST(WriteOnnx, packs_four_bits_and_asks_for_the_opset_of_short_types) {
  const std::string text = R"(graph g () -> (y) {
    const q: s4[3] = {-8, 7, -1}
    const s: f32[] = {0.5}
    y = DequantizeLinear(q, s)
  })";
  EXPECT_EQ(rewritten(text), unchanged(text, 21));
  const std::string cast = one_line("y = Cast(x, to=\"f8e5m2\")", "f32[4]");
  EXPECT_EQ(rewritten(cast), unchanged(cast, 19));
}

TEST(WriteOnnx, gives_the_same_bytes_for_the_same_graph) {
  const Graph graph = parsed(one_line("y = LeakyRelu(x, alpha=0.1)"));
  const Result<std::vector<std::byte>> a = write_onnx(graph), b = write_onnx(Graph(graph));
  ASSERT_TRUE(a && b);
  EXPECT_EQ(*a, *b);
}

TEST(WriteOnnx, names_octet_as_the_producer) {
  const Result<OnnxModel> model = read(*write_onnx(parsed(one_line("y = Relu(x)"))));
  ASSERT_TRUE(model);
  EXPECT_EQ(model->info.producer, "octet");
  EXPECT_EQ(model->info.ir_version, 8);
}

TEST(WriteOnnx, takes_the_lowest_opset_that_has_every_op) {
  EXPECT_EQ(rewritten(one_line("y = Relu(x)")), unchanged(one_line("y = Relu(x)"), 13));
  EXPECT_EQ(rewritten(one_line("y = HardSwish(x)")), unchanged(one_line("y = HardSwish(x)"), 14));
  const std::string reduced = one_line("const a: s64[2] = {2, 3}\n  y = ReduceMean(x, a, keepdims=0)");
  EXPECT_EQ(rewritten(reduced), unchanged(reduced, 18));
  const std::string summed = one_line("const a: s64[2] = {2, 3}\n  y = ReduceSum(x, a)");
  EXPECT_EQ(rewritten(summed), unchanged(summed, 13));
  const std::string halves = one_line("const s: f16[] = {1}\n  y = QuantizeLinear(x, s)", "f16[N,4]");
  EXPECT_EQ(rewritten(halves), unchanged(halves, 19));
}

TEST(WriteOnnx, takes_any_opset_up_to_23_that_is_asked_for) {
  EXPECT_EQ(rewritten(one_line("y = HardSwish(x)"), 23), unchanged(one_line("y = HardSwish(x)"), 23));
  EXPECT_THAT(rewritten(one_line("y = Relu(x)"), 12),
              HasSubstr("error: opset 12 cannot be written; expected 13 to 23"));
  EXPECT_THAT(rewritten(one_line("y = Relu(x)"), 24), HasSubstr("error: opset 24 cannot be written"));
}

TEST(WriteOnnx, says_which_node_needs_more_than_the_opset_asked_for) {
  EXPECT_THAT(rewritten(one_line("y = Shape(x, start=1) @s"), 13),
              HasSubstr("error: node 's' (Shape): needs opset 15, but opset 13 was asked for"));
}

TEST(WriteOnnx, writes_hard_swish_below_opset_14_as_its_gate) {
  EXPECT_THAT(rewritten(one_line("y = HardSwish(x) @h"), 13),
              AllOf(HasSubstr("13: "), HasSubstr("y_gate = HardSigmoid(x, alpha=0.16666667, beta=0.5) @h_gate"),
                    HasSubstr("y = Mul(x, y_gate) @h")));
}

TEST(WriteOnnx, writes_reductions_below_opset_18_with_an_axes_attribute) {
  // Read back, the attribute is an input again.
  EXPECT_THAT(rewritten(one_line("const a: s64[2] = {2, 3}\n  y = ReduceMean(x, a, keepdims=0) @r"), 13),
              AllOf(HasSubstr("13: "), HasSubstr("const y_axes: s64[2] = {2, 3}"),
                    HasSubstr("y = ReduceMean(x, y_axes, keepdims=0) @r")));
  EXPECT_THAT(rewritten(one_line("y = ReduceMax(x)"), 13), HasSubstr("y = ReduceMax(x)"));
  EXPECT_THAT(rewritten(one_line("y = ReduceMean(x, noop_with_empty_axes=1)"), 13), HasSubstr("y = Identity(x)"));
  EXPECT_THAT(rewritten(one_line("y = ReduceL2(x, noop_with_empty_axes=1)"), 13), HasSubstr("y = Abs(x)"));
  EXPECT_THAT(rewritten(one_line("y = ReduceSumSquare(x, noop_with_empty_axes=1)"), 13), HasSubstr("y = Mul(x, x)"));
}

TEST(WriteOnnx, writes_uneven_parts_below_opset_18_as_sizes) {
  const std::string uneven = "graph g (x: f32[7]) -> (a, b) {\n  a, b = Split(x, num_outputs=2)\n}\n";
  EXPECT_EQ(rewritten(uneven), unchanged(uneven, 18));
  EXPECT_THAT(rewritten(uneven, 13), HasSubstr("const a_split: s64[2] = {4, 3}"));
  const std::string even = "graph g (x: f32[8]) -> (a, b) {\n  a, b = Split(x)\n}\n";
  EXPECT_EQ(rewritten(even), unchanged(even, 13));
  EXPECT_EQ(rewritten(even, 18), unchanged(even, 18));
}

TEST(WriteOnnx, writes_silu_as_sigmoid_and_mul) {
  EXPECT_THAT(rewritten(one_line("y = Silu(x) @s")),
              AllOf(HasSubstr("13: "), HasSubstr("y_gate = Sigmoid(x) @s_gate"), HasSubstr("y = Mul(x, y_gate) @s")));
}

TEST(WriteOnnx, writes_a_fused_convolution_as_its_parts) {
  const std::string head =
      "const w: f32[4,4,1,1] = {1,0,0,0, 0,1,0,0, 0,0,1,0, 0,0,0,1}\n  const b: f32[4] = {1,2,3,4}\n  ";
  const std::string fused =
      one_line(head + "y = FusedConv(x, w, b, x, strides=[1,1], activation=\"Clip\", activation_params=[0.0,6.0]) @c");
  EXPECT_THAT(
      rewritten(fused),
      AllOf(HasSubstr("y_conv = Conv(x, w, b, strides=[1,1]) @c"), HasSubstr("y_linear = Add(y_conv, x) @c_Add"),
            HasSubstr("const y_min: f32[] = {0}"), HasSubstr("y = Clip(y_linear, y_min, y_max) @c_Clip")));
  EXPECT_THAT(rewritten(one_line(head + "y = FusedConv(x, w, b, activation=\"Silu\") @c")),
              AllOf(HasSubstr("y_linear = Conv(x, w, b) @c"), HasSubstr("y_gate = Sigmoid(y_linear)"),
                    HasSubstr("y = Mul(y_linear, y_gate)")));
  EXPECT_THAT(rewritten(one_line(head + "y = FusedConv(x, w) @c")), HasSubstr("y = Conv(x, w) @c"));
}

TEST(WriteOnnx, writes_fused_gemm_and_add_as_their_parts) {
  const std::string gemm =
      one_line("const w: f32[2,3] = {1,2,3,4,5,6}\n  y = FusedGemm(x, w, activation=\"Relu\") @fc", "f32[N,3]");
  EXPECT_THAT(rewritten(gemm),
              AllOf(HasSubstr("y_linear = Gemm(x, w, transB=1) @fc"), HasSubstr("y = Relu(y_linear)")));
  EXPECT_THAT(rewritten(one_line("y = FusedAdd(x, x, activation=\"LeakyRelu\", activation_params=[0.25])")),
              AllOf(HasSubstr("y_linear = Add(x, x)"), HasSubstr("y = LeakyRelu(y_linear, alpha=0.25)")));
}

TEST(WriteOnnx, refuses_integer_ops_by_node) {
  const std::string pool =
      one_line("y = QuantGlobalAveragePool(x, x_scale=1.0, x_zero_point=0, y_scale=1.0, y_zero_point=0, to=\"u8\") @p",
               "u8[N,4,6,6]");
  EXPECT_THAT(rewritten(pool), AllOf(HasSubstr("error: node 'p' (QuantGlobalAveragePool)"), HasSubstr("Q/DQ form")));
}

TEST(WriteOnnx, writes_layer_normalization_below_opset_17_as_its_formula) {
  const std::string norm =
      one_line("const s: f32[6] = {1,1,1,1,1,1}\n  y = LayerNormalization(x, s, axis=-1, epsilon=0.001) @n");
  EXPECT_EQ(rewritten(norm), unchanged(norm, 17));
  EXPECT_THAT(rewritten(norm, 13),
              AllOf(HasSubstr("y_mean = ReduceMean(x, "), HasSubstr("y_centred = Sub(x, y_mean)"),
                    HasSubstr("y = Mul(y_unit, s)"), HasSubstr("const y_epsilon: f32[] = {0.001}")));
}

TEST(WriteOnnx, keeps_a_name_that_an_expansion_would_like_to_take) {
  EXPECT_THAT(rewritten("graph g (x: f32[2]) -> (y, y_gate) {\n  y = Silu(x) @s\n  y_gate = Relu(x) @s_gate\n}\n"),
              AllOf(HasSubstr("y_gate_1 = Sigmoid(x) @s_gate_1"), HasSubstr("y_gate = Relu(x) @s_gate :")));
}

TEST(WriteOnnx, carries_octets_own_metadata_through_the_file) {
  Result<Graph> graph = parse_graph("graph (x: f32[1]) -> (y) { y = Identity(x) }");
  ASSERT_TRUE(graph);
  graph->metadata = {{"octet.calibration", "UNCALIBRATED"}, {"someone.else", "dropped by the reader"}};
  const Result<std::vector<std::byte>> bytes = write_onnx(*graph);
  ASSERT_TRUE(bytes);
  const Result<OnnxModel> model = read_onnx(*bytes, nullptr);
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->graph.metadata, (std::map<std::string, std::string>{{"octet.calibration", "UNCALIBRATED"}}));
}

TEST(WriteOnnx, drops_attributes_that_an_old_opset_has_not_and_that_say_nothing) {
  EXPECT_THAT(rewritten(one_line("const s: s64[2] = {4, -1}\n  y = Reshape(x, s, allowzero=0)")),
              AllOf(HasSubstr("13: "), Not(HasSubstr("allowzero"))));
}

}  // namespace
}  // namespace octet::test
