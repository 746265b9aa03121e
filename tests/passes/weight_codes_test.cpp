// Scales and codes: activations, weights, biases.
#include "passes/weight_codes.h"

#include <cmath>

#include "passes/choose_codes.h"
#include "passes/pass_test.h"

namespace octet {
namespace {

Tensor weight(std::vector<float> values, int64_t channels) {
  const auto size = static_cast<int64_t>(values.size());
  return f32_tensor({channels, size / channels}, values);
}
std::vector<int> codes_of(const Tensor& tensor) {
  std::vector<int> codes;
  for (int64_t i = 0; i < tensor.size(); ++i)
    codes.push_back(tensor.dtype() == DType::s8 ? tensor.at<int8_t>(i) : tensor.at<int32_t>(i));
  return codes;
}

TEST(QuantizeWeight, each_channel_spans_127_codes_symmetrically) {
  const WeightCodes w = quantize_weight(weight({127, -63.5, -254, 1}, 2), {}, 1.0f);
  EXPECT_EQ(w.scale, (std::vector<float>{1.0f, 2.0f}));
  EXPECT_EQ(codes_of(w.codes), (std::vector<int>{127, -64, -127, 0}));  // -63.5 and 0.5 are ties: to even
  EXPECT_TRUE(w.weak.empty());
}
TEST(QuantizeWeight, an_all_zero_channel_takes_the_median) {
  const WeightCodes w = quantize_weight(weight({127, 0, 254, 381}, 4), {}, 1.0f);
  EXPECT_EQ(w.scale, (std::vector<float>{1.0f, 2.0f, 2.0f, 3.0f}));
  EXPECT_EQ(w.weak, (std::vector<int64_t>{1}));
}
TEST(QuantizeWeight, a_weak_channel_is_raised_to_a_4096th_of_the_median) {
  const WeightCodes w = quantize_weight(weight({127, 1e-6f, 127, 127}, 4), {}, 1.0f);
  EXPECT_EQ(w.scale[1], 0x1p-12f);
  EXPECT_EQ(codes_of(w.codes)[1], 0);
  EXPECT_EQ(w.weak, (std::vector<int64_t>{1}));
}
TEST(QuantizeWeight, a_large_bias_raises_the_scale_so_that_its_code_stays_below_2_to_30) {
  const std::vector<float> bias{0x1p30f, 1.0f};
  const WeightCodes w = quantize_weight(weight({127, 127}, 2), bias, 0x1p-3f);
  EXPECT_EQ(w.scale, (std::vector<float>{8.0f, 1.0f}));
  EXPECT_EQ(codes_of(quantize_bias(bias, 0x1p-3f, w.scale).codes), (std::vector<int>{1 << 30, 8}));
}
TEST(QuantizeWeight, no_scale_is_ever_zero_or_subnormal) {
  for (const float x : {0.0f, 1e-45f, 1e-38f, 1e38f}) {
    const WeightCodes w = quantize_weight(weight({x, 0.0f, -x}, 3), {}, 0x1p-60f);
    for (const float scale : w.scale) EXPECT_TRUE(std::isnormal(scale) && std::isnormal(scale * 0x1p-60f)) << x;
  }
}
TEST(QuantizeBias, lies_on_the_grid_of_the_accumulator) {
  const BiasCodes b =
      quantize_bias(std::vector<float>{0.75f, -0.3f, 0.0f}, 0.5f, std::vector<float>{1.0f, 0.25f, 2.0f});
  EXPECT_EQ(b.scale, (std::vector<float>{0.5f, 0.125f, 1.0f}));
  EXPECT_EQ(codes_of(b.codes), (std::vector<int>{2, -2, 0}));  // 1.5 is a tie: to even; -2.4
}

CodeParams chosen(float lo, float hi, Target target = Target::octet) {
  return choose_codes(code_range({std::max(-lo, hi), lo, hi}, false), target);
}
TEST(ChooseCodes, a_value_that_is_never_negative_gets_u8_from_zero) {
  EXPECT_EQ(chosen(0, 255), (CodeParams{1.0f, 0, DType::u8}));
}
TEST(ChooseCodes, a_balanced_range_gets_s8) { EXPECT_EQ(chosen(-127, 120), (CodeParams{1.0f, 0, DType::s8})); }
TEST(ChooseCodes, a_lopsided_range_gets_u8_with_a_zero_point) {
  // SiLU: -0.25 .. 10. Step 10.25/255 = 0.0402 against 10/127 = 0.0787; zero point rne(0.25 / step) = rne(6.22).
  const CodeParams p = chosen(-0.25f, 10.0f);
  EXPECT_EQ(p, (CodeParams{10.25f / 255.0f, 6, DType::u8}));
}
TEST(ChooseCodes, a_range_below_zero_only_has_its_zero_point_at_the_end) {
  EXPECT_EQ(chosen(-255, 0), (CodeParams{1.0f, 255, DType::u8}));
}
TEST(ChooseCodes, a_gain_of_five_percent_or_less_is_not_worth_a_zero_point) {
  // s8 step 1; u8 step (127 + hi) / 255: 0.95 at hi = 115.25
  EXPECT_EQ(chosen(-127, 116).dtype, DType::s8);
  EXPECT_EQ(chosen(-127, 115).dtype, DType::u8);
}
TEST(ChooseCodes, tensorrt_gets_symmetric_s8_everywhere) {
  EXPECT_EQ(chosen(0, 127, Target::tensorrt), (CodeParams{1.0f, 0, DType::s8}));
  EXPECT_EQ(chosen(-0.25f, 127, Target::tensorrt), (CodeParams{1.0f, 0, DType::s8}));
}
TEST(ChooseCodes, a_dead_tensor_gets_a_normal_scale) {
  for (const float amax : {0.0f, 1e-45f, 1e-38f, 1e-20f})
    for (const Target target : {Target::octet, Target::tensorrt}) {
      EXPECT_GT(chosen(0, amax, target).scale, 0x1p-10f) << amax;
      EXPECT_GT(chosen(-amax, amax, target).scale, 0x1p-10f) << amax;
    }
}
TEST(ChooseCodes, a_table_that_knows_amax_only_is_symmetric_unless_the_graph_proves_the_sign) {
  EXPECT_EQ(choose_codes(code_range({127, 0, 0}, false), Target::octet), (CodeParams{1.0f, 0, DType::s8}));
  EXPECT_EQ(choose_codes(code_range({255, 0, 0}, true), Target::octet), (CodeParams{1.0f, 0, DType::u8}));
}
TEST(NeverNegative, follows_sums_products_and_moves) {
  const Graph graph =
      parsed(R"(graph (x: f32[N,2,4,4]) -> (y, z) { a = Relu(x); b = Sigmoid(x); c = Add(a, b); d = Mul(c, a)
      e = MaxPool(d, kernel_shape=[2,2]); y = Concat(e, e, axis=1); f = Add(a, x); z = Tanh(f) })");
  const std::vector<bool> flags = never_negative(graph);
  for (const char* name : {"a", "b", "c", "d", "e", "y"})
    EXPECT_TRUE(flags[static_cast<size_t>(*graph.find_value(name))]) << name;
  for (const char* name : {"x", "f", "z"}) EXPECT_FALSE(flags[static_cast<size_t>(*graph.find_value(name))]) << name;
}

TEST(NeverNegative, a_clip_may_end_below_zero_for_the_maximum_wins) {
  const Graph graph = parsed(R"(graph (x: f32[N,2,4,4], m: f32[]) -> (b, c, d, e, f) {
      const l: f32[] = {0.5}; const h: f32[] = {-0.5}; const z: f32[] = {0.0}; a = Relu(x)
      b = Clip(x, l, h); c = Clip(a, _, h); d = Clip(a, _, m); e = Clip(x, l, z); f = Clip(a, h, l) })");
  const std::vector<bool> flags = never_negative(graph);
  for (const char* name : {"b", "c", "d"}) EXPECT_FALSE(flags[static_cast<size_t>(*graph.find_value(name))]) << name;
  for (const char* name : {"e", "f"}) EXPECT_TRUE(flags[static_cast<size_t>(*graph.find_value(name))]) << name;
}

TEST(ChannelParams, a_dead_channel_takes_the_median_and_no_scale_is_odd) {
  const ChannelParams s8 = channel_params({1, {-1.27f, 0, -3.81f, -1e-45f}, {0, 0, 2, 0}}, false);
  EXPECT_EQ(s8.dtype, DType::s8);
  EXPECT_EQ(s8.scale, (std::vector<float>{0.01f, 0.01f, 0.03f, 0.01f}));
  const ChannelParams u8 = channel_params({1, {0, 0}, {2.55f, 3e38f}}, false);
  EXPECT_EQ(u8.dtype, DType::u8);
  EXPECT_EQ(u8.scale[0], 0.01f);
  EXPECT_LE(u8.scale[1], k_largest_scale);
  EXPECT_EQ(channel_params({1, {0}, {0}}, true).scale, (std::vector<float>{1.0f / 127}));
}

}  // namespace
}  // namespace octet
