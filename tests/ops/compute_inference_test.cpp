// Symbolic shapes, and what the compute ops say about contradictions and hostile attributes.
#include <gmock/gmock.h>

#include "evaluate.h"

namespace octet::testing {
namespace {

using ::testing::HasSubstr;

/// The type or error of one node with inputs x: f32 of this shape and w: f32 of that shape.
std::string conv(const std::string& x, const std::string& w, const std::string& attributes = "") {
  return inferred("graph (x: f32" + x + ", w: f32" + w + ") -> (y) {\n y = Conv(x, w" +
                  (attributes.empty() ? "" : ", " + attributes) + ") @c\n}");
}

std::string pool(const std::string& op, const std::string& x, const std::string& attributes) {
  return inferred("graph (x: f32" + x + ") -> (y) {\n y = " + op + "(x, " + attributes + ") @p\n}");
}

TEST(ConvInference, keeps_an_unknown_batch_and_the_symbol_of_a_same_window) {
  EXPECT_EQ(conv("[N,3,H,W]", "[8,3,3,3]", "pads=[1,1,1,1]"), "f32[N,8,H,W]");
  EXPECT_EQ(conv("[N,3,H,W]", "[8,3,3,3]", "auto_pad=\"SAME_UPPER\""), "f32[N,8,H,W]");
  EXPECT_EQ(conv("[N,3,H,224]", "[8,3,3,3]", "pads=[0,1,0,1], strides=[1,2]"), "f32[N,8,?,112]");
  EXPECT_EQ(conv("[1,C,5,5]", "[8,2,3,3]", "group=4"), "f32[1,8,3,3]");
}

TEST(ConvInference, names_the_channels_that_contradict_each_other) {
  EXPECT_THAT(
      conv("[1,3,5,5]", "[8,4,3,3]"),
      HasSubstr(
          "node 'c' (Conv): input [1,3,5,5] has 3 channels, but weight [8,4,3,3] with group=1 reads 4 per group"));
  EXPECT_THAT(conv("[1,4,5,5]", "[6,1,3,3]", "group=4"), HasSubstr("has 6 output channels, expected a multiple of"));
  EXPECT_THAT(conv("[1,4,5,5]", "[6,4,3]"), HasSubstr("has rank 3, expected 4"));
  EXPECT_THAT(conv("[1,4]", "[6,4]"), HasSubstr("expected [batch, channels, spatial...]"));
  EXPECT_THAT(conv("[1,4,1,1,1,1]", "[6,4,1,1,1,1]"), HasSubstr("octet runs 1, 2 or 3"));
  EXPECT_THAT(conv("[1,3,5,5]", "[8,3,3,3]", "kernel_shape=[3,2]"), HasSubstr("kernel_shape=[3,2], but the weight is"));
}

TEST(ConvInference, refuses_windows_that_cannot_be) {
  EXPECT_THAT(
      conv("[1,3,5,5]", "[8,3,7,3]", "pads=[0,0,1,0]"),
      HasSubstr("node 'c' (Conv): on spatial axis 0 the kernel covers 7 elements, but the padded input has only 6"));
  EXPECT_THAT(conv("[1,3,5,5]", "[8,3,3,3]", "strides=[0,1]"), HasSubstr("strides holds 0, expected 1 to 2147483647"));
  EXPECT_THAT(conv("[1,3,5,5]", "[8,3,3,3]", "pads=[0,-1,0,0]"), HasSubstr("pads holds -1, expected 0 to"));
  EXPECT_THAT(conv("[1,3,5,5]", "[8,3,3,3]", "pads=[1,1]"), HasSubstr("pads=[1,1] has 2 entries, expected 4"));
  EXPECT_THAT(conv("[1,3,5,5]", "[8,3,3,3]", "auto_pad=\"SAME\""), HasSubstr("auto_pad is 'SAME', expected NOTSET"));
  EXPECT_THAT(conv("[1,3,5,5]", "[8,3,0,3]"), HasSubstr("extent on spatial axis 0 is 0"));
}

TEST(ConvInference, survives_the_largest_attributes) {
  const std::string most = "9223372036854775807";
  for (const std::string key : {"strides", "dilations"})
    EXPECT_THAT(conv("[1,3,5,5]", "[8,3,3,3]", key + "=[" + most + "," + most + "]"),
                HasSubstr(key + " holds " + most));
  EXPECT_THAT(conv("[1,3,5,5]", "[8,3,3,3]", "pads=[" + most + ",0,0,0]"), HasSubstr("pads holds"));
  EXPECT_THAT(conv("[1,3,5,5]", "[8,3,3,3]", "group=" + most), HasSubstr("multiple of group="));
  EXPECT_THAT(conv("[1,3,5,5]", "[8,3,3,3]", "group=0"), HasSubstr("group is 0"));
  EXPECT_THAT(conv("[1,3,5,5]", "[8,3,3,3]", "dilations=[2147483647,1]"), HasSubstr("covers 4294967295 elements"));
  EXPECT_THAT(conv("[1,3,5,5]", "[8,3,3,3]", "pads=[2147483647,2147483647,2147483647,2147483647]"),
              HasSubstr("[1,8,4294967297,4294967297]"));
  EXPECT_EQ(conv("[1,1,H,W]", "[1,1,2,34359738367]", "dilations=[1,2147483647]"), "f32[1,1,?,?]");
}

TEST(ConvInference, wants_one_bias_per_output_channel) {
  EXPECT_THAT(inferred("graph (x: f32[1,3,5,5], w: f32[8,3,3,3], b: f32[7]) -> (y) {\n y = Conv(x, w, b) @c\n}"),
              HasSubstr("node 'c' (Conv): input 2 is [7], expected one value per output channel: [8]"));
  EXPECT_THAT(inferred("graph (x: f32[1,3,5,5], w: f32[8,3,3,3], b: s32[8]) -> (y) {\n y = Conv(x, w, b) @c\n}"),
              HasSubstr("input 2 is s32, expected f32"));
}

TEST(PoolInference, counts_outputs_as_onnx_does) {
  EXPECT_EQ(pool("MaxPool", "[N,3,112,W]", "kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]"), "f32[N,3,56,?]");
  EXPECT_EQ(pool("MaxPool", "[N,64,109,109]", "kernel_shape=[3,3], strides=[2,2], ceil_mode=1"), "f32[N,64,54,54]");
  EXPECT_EQ(pool("MaxPool", "[1,1,4,4]", "kernel_shape=[3,3], strides=[2,2], ceil_mode=1"), "f32[1,1,2,2]");
  // ONNX MaxPool-22: a window that would start in the padding behind the input is not counted.
  EXPECT_EQ(pool("AveragePool", "[1,1,2,2]", "kernel_shape=[1,1], strides=[2,2], ceil_mode=1"), "f32[1,1,1,1]");
  EXPECT_EQ(pool("AveragePool", "[1,1,3,3]", "kernel_shape=[2,2], strides=[3,3], pads=[0,0,1,1], ceil_mode=1"),
            "f32[1,1,1,1]");
  // nn.MaxPool2d(2, ceil_mode=True) of one pixel; a kernel that reaches beyond by a stride or more is refused.
  for (const char* op : {"MaxPool", "AveragePool"}) {
    EXPECT_EQ(pool(op, "[1,1,1,2]", "kernel_shape=[2,3], strides=[2,2], ceil_mode=1"), "f32[1,1,1,1]");
    EXPECT_THAT(pool(op, "[1,1,1,1]", "kernel_shape=[3,1], strides=[2,2], ceil_mode=1"),
                HasSubstr("covers 3 elements"));
    EXPECT_THAT(pool(op, "[1,1,1,1]", "kernel_shape=[2,1], strides=[2,2]"), HasSubstr("covers 2 elements"));
  }
}

TEST(PoolInference, refuses_windows_of_padding_alone_and_missing_kernels) {
  EXPECT_THAT(pool("MaxPool", "[1,1,4,4]", "kernel_shape=[2,2], pads=[0,2,0,0]"),
              HasSubstr("pads 2 and 0 on spatial axis 1 must be smaller than the window of 2"));
  EXPECT_THAT(pool("AveragePool", "[1,1,4,4]", "strides=[2,2]"), HasSubstr("attribute kernel_shape is missing"));
  EXPECT_THAT(pool("MaxPool", "[1,1,4,4]", "kernel_shape=[5,1]"), HasSubstr("covers 5 elements"));
}

TEST(ProductInference, names_the_inner_extents_that_differ) {
  const auto gemm = [](const std::string& a, const std::string& b, const std::string& c, const std::string& more) {
    return inferred("graph (a: f32" + a + ", b: f32" + b + ", c: f32" + c + ") -> (y) {\n y = Gemm(a, b, c" + more +
                    ") @fc\n}");
  };
  EXPECT_EQ(gemm("[N,256]", "[10,256]", "[10]", ", transB=1"), "f32[N,10]");
  EXPECT_THAT(
      gemm("[1,256]", "[512,10]", "[10]", ", transB=1"),
      HasSubstr(
          "node 'fc' (Gemm): input 0 is [1,256] and input 1 is [512,10] (transposed): the inner extents 256 and 10 "
          "differ"));
  EXPECT_THAT(gemm("[1,2]", "[2,3]", "[4]", ""), HasSubstr("do not broadcast"));
  EXPECT_THAT(gemm("[1,2]", "[2,3]", "[4,3]", ""), HasSubstr("input C [4,3] does not broadcast to [1,3]"));
  EXPECT_EQ(gemm("[N,2]", "[2,3]", "[4,3]", ""), "f32[N,3]");  // right for N = 4
  EXPECT_EQ(inferred("graph (a: f32[B,8,T,64], b: f32[B,8,64,T]) -> (y) {\n y = MatMul(a, b)\n}"), "f32[B,8,T,T]");
  EXPECT_THAT(inferred("graph (a: f32[2,3], b: f32[4,5]) -> (y) {\n y = MatMul(a, b)\n}"), HasSubstr("3 and 4 differ"));
  EXPECT_THAT(inferred("graph (a: f32[], b: f32[4,5]) -> (y) {\n y = MatMul(a, b)\n}"), HasSubstr("scalars cannot"));
}

TEST(QuantizeInference, asks_for_positive_scales_and_codes) {
  const auto quantize = [](const std::string& scale, const std::string& zero) {
    return inferred("graph (x: f32[N,3,4,4]) -> (y) {\n const s: f32" + scale + "\n const z: " + zero +
                    "\n y = QuantizeLinear(x, s, z) @q\n}");
  };
  EXPECT_EQ(quantize("[] = {0.1}", "s8[] = {0}"), "s8[N,3,4,4]");
  EXPECT_THAT(quantize("[] = {0}", "s8[] = {0}"),
              HasSubstr("node 'q' (QuantizeLinear): scale holds 0.000000, expected positive finite numbers"));
  EXPECT_THAT(quantize("[] = {nan}", "s8[] = {0}"), HasSubstr("scale holds nan"));
  EXPECT_THAT(quantize("[] = {1}", "s32[] = {0}"), HasSubstr("zero_point is s32; expected codes of 4, 8 or 16 bits"));
  EXPECT_THAT(inferred("graph (x: f32[1,3,4,4]) -> (y) {\n const s: f32[2] = {1,2}\n y = QuantizeLinear(x, s) @q\n}"),
              HasSubstr("scale is [2], but axis 1 of [1,3,4,4] has 3 channels"));
}

/// A QuantConv with these attributes on u8[1,2,4,4] codes and s8[3,2,3,3] weights.
std::string quant_conv(const std::string& attributes, const std::string& bias = "s32[3]") {
  return inferred("graph (x: u8[1,2,4,4], w: s8[3,2,3,3], s: f32[3], b: " + bias + ") -> (y) {\n" +
                  " y = QuantConv(x, w, s, b, " + attributes + ") @q\n}");
}

TEST(QuantInference, checks_scales_zero_points_and_words) {
  const std::string good = "x_scale=0.1, x_zero_point=255, y_scale=0.1, y_zero_point=-128, to=\"s8\"";
  EXPECT_EQ(quant_conv(good), "s8[1,3,2,2]");
  EXPECT_EQ(quant_conv("x_scale=0.1, x_zero_point=0, to=\"f32\""), "f32[1,3,2,2]");
  EXPECT_THAT(quant_conv(good, "s32[4]"),
              HasSubstr("node 'q' (QuantConv): input 3 is [4], expected one value per output channel: [3]"));
  EXPECT_THAT(quant_conv(good, "f32[3]"), HasSubstr("the bias is f32, expected s32"));
  EXPECT_THAT(quant_conv("x_scale=0.1, x_zero_point=256, to=\"f32\""),
              HasSubstr("x_zero_point is 256, expected a code of u8"));
  EXPECT_THAT(quant_conv("x_scale=-0.1, x_zero_point=0, to=\"f32\""),
              HasSubstr("x_scale is missing or not a positive"));
  EXPECT_THAT(quant_conv("x_scale=1e-40, x_zero_point=0, to=\"f32\""),
              HasSubstr("x_scale is missing or not a positive"));
  EXPECT_THAT(quant_conv("x_scale=0.1, x_zero_point=0, to=\"s8\""), HasSubstr("y_scale is missing"));
  EXPECT_THAT(quant_conv("x_scale=0.1, x_zero_point=0, to=\"s16\""), HasSubstr("to is 's16', expected u8, s8 or f32"));
  EXPECT_THAT(quant_conv(good + ", activation=\"Gelu\""), HasSubstr("unknown activation 'Gelu'"));
  EXPECT_THAT(quant_conv(good + ", activation=\"Clip\", activation_params=[0.0]"),
              HasSubstr("takes 2 activation_params, not 1"));
}

TEST(QuantInference, wants_a_bias_as_long_as_the_rows_of_a_quant_gemm) {
  EXPECT_THAT(inferred("graph (x: u8[1,4], w: s8[3,4], s: f32[3], b: s32[2]) -> (y) {\n"
                       " y = QuantGemm(x, w, s, b, x_scale=0.1, x_zero_point=0, to=\"f32\") @q\n}"),
              HasSubstr("node 'q' (QuantGemm): input 3 is [2], expected one value per output channel: [3]"));
  EXPECT_THAT(inferred("graph (x: u8[1,4], w: s8[3,4], s: f32[3], b: f32[3]) -> (y) {\n"
                       " y = QuantGemm(x, w, s, b, x_scale=0.1, x_zero_point=0, to=\"f32\") @q\n}"),
              HasSubstr("the bias is f32, expected s32"));
}

TEST(QuantInference, wants_a_table_for_each_channel_of_pixels) {
  const auto with = [](const std::string& inputs) {
    return inferred("graph (" + inputs + ") -> (y) {\n y = QuantPixels(x, t) @q\n}");
  };
  EXPECT_THAT(with("x: u8[N,3,4,4], t: s8[3,256]"), HasSubstr("s8[N,3,4,4]"));
  EXPECT_THAT(with("x: s8[1,3,4,4], t: u8[3,256]"), HasSubstr("node 'q' (QuantPixels): the image is s8, expected u8"));
  EXPECT_THAT(with("x: u8[1,3], t: u8[3,256]"), HasSubstr("the image is [1,3], expected [N,C,H,W]"));
  EXPECT_THAT(with("x: u8[1,3,4,4], t: u8[256]"), HasSubstr("the table is [256], expected [C,256]"));
  EXPECT_THAT(with("x: u8[1,3,4,4], t: u8[4,256]"), HasSubstr("the table is [4,256] for an image of [1,3,4,4]"));
}

TEST(JoinedGatherInference, takes_a_list_of_entries_of_values_that_differ_on_the_axis_only) {
  const auto gathered = [](const std::string& inputs, const std::string& rest) {
    return inferred("graph (" + inputs + ") -> (y) {\n y = JoinedGather(" + rest + ") @g\n}");
  };
  EXPECT_EQ(gathered("i: s64[5], x: f32[N,2,H,4], z: f32[N,C,3,4]", "i, _, x, z, axis=1"), "f32[N,5,3,4]");
  EXPECT_EQ(gathered("i: s64[5], t: s8[256], x: u8[1,2], z: u8[1,9]", "i, t, x, z, axis=-1"), "s8[1,5]");
  EXPECT_THAT(gathered("i: s64[5], x: f32[1,2], z: f32[2,2]", "i, _, x, z, axis=1"),
              HasSubstr("node 'g' (JoinedGather): shapes [1,2] and [2,2] may differ only on axis 1"));
  EXPECT_THAT(gathered("i: s64[5], t: s8[255], x: u8[1,2]", "i, t, x"),
              HasSubstr("the table is [255], expected [256]"));
  EXPECT_THAT(gathered("i: s64[5], t: s8[256], x: f32[1,2]", "i, t, x"), HasSubstr("input 2 is f32, expected codes"));
  EXPECT_THAT(gathered("i: s64[5,1], x: f32[1,2]", "i, _, x"), HasSubstr("the indices are [5,1], expected a list"));
  EXPECT_THAT(gathered("i: s64[5], x: f32[1,2]", "i, x"), HasSubstr("there is nothing to gather from"));
}

TEST(FramesInference, counts_frames_and_slices) {
  const auto of = [](const std::string& x, const std::string& rest) {
    return inferred("graph (x: " + x + ") -> (y) {\n y = " + rest + " @f\n}");
  };
  EXPECT_EQ(of("f32[2,3,5,42]", "PlanesToFrames(x, height=6)"), "f32[10,3,6,7]");
  EXPECT_EQ(of("u8[2,4,5,42]",
               "PlanesToFrames(x, height=6, kernel_shape=[3], pads=[1,1], strides=[2], group=2, x_zero_point=128)"),
            "u8[6,12,6,7]");
  EXPECT_EQ(of("f32[10,3,6,7]", "FramesToPlanes(x, depth=5)"), "f32[2,3,5,42]");
  EXPECT_EQ(of("f32[N,3,6,7]", "FramesToPlanes(x, depth=1)"), "f32[N,3,1,42]");
  EXPECT_THAT(of("f32[2,3,5,42]", "PlanesToFrames(x)"), HasSubstr("node 'f' (PlanesToFrames): height is 0, expected"));
  EXPECT_THAT(of("f32[2,3,5,42]", "PlanesToFrames(x, height=4)"), HasSubstr("a plane of 42 is not a multiple of 4"));
  EXPECT_THAT(of("f32[2,3,5,42]", "PlanesToFrames(x, height=6, group=2)"), HasSubstr("3 channels are no 2 groups"));
  EXPECT_THAT(of("f32[2,3,5,42]", "PlanesToFrames(x, height=6, group=0)"), HasSubstr("group is 0"));
  EXPECT_THAT(of("f32[2,3,5,42]", "PlanesToFrames(x, height=6, x_zero_point=1)"),
              HasSubstr("x_zero_point 1 is none of f32 but 0"));
  EXPECT_THAT(of("s8[2,3,5,42]", "PlanesToFrames(x, height=6, x_zero_point=128)"),
              HasSubstr("x_zero_point 128 is none of s8"));
  EXPECT_THAT(of("f32[2,3,5,42]", "PlanesToFrames(x, height=6, kernel_shape=[9])"), HasSubstr("the kernel covers 9"));
  EXPECT_THAT(of("f32[2,3,42]", "PlanesToFrames(x, height=6)"), HasSubstr("rank"));
  EXPECT_THAT(of("f32[9,3,6,7]", "FramesToPlanes(x, depth=5)"),
              HasSubstr("the number of frames 9 is not a multiple of 5"));
}

TEST(QuantInference, wants_256_entries_in_a_table) {
  EXPECT_THAT(inferred("graph (x: u8[1,4], t: s8[255]) -> (y) {\n y = QuantLookup(x, t) @q\n}"),
              HasSubstr("node 'q' (QuantLookup): the table is [255], expected [256]"));
}

}  // namespace
}  // namespace octet::testing
