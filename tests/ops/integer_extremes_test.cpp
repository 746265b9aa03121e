// The integer ops where arithmetic ends: the largest sums, ties, saturation, NaN.
#include <gmock/gmock.h>

#include <limits>

#include "evaluate.h"

namespace octet::testing {
namespace {

/// A graph of one node whose inputs are these constants, evaluated.
Result<Tensor> evaluate_node(std::string_view op, std::vector<Tensor> inputs, Attributes attributes) {
  Graph graph;
  Node node{.op = find_op(op), .name = "n", .inputs = {}, .outputs = {}, .attributes = std::move(attributes)};
  for (Tensor& t : inputs) node.inputs.push_back(graph.add_constant("c", std::move(t)));
  node.outputs.push_back(graph.add_value("y"));
  graph.outputs = node.outputs;
  graph.nodes.push_back(std::move(node));
  if (Result<Done> ok = infer_shapes(graph); !ok) return ok.error();
  Result<std::vector<Tensor>> y = evaluate(graph);
  if (!y) return y.error();
  return (*y)[0];
}

template <class T>
Tensor filled(DType dtype, Dims dims, T value) {
  return Tensor::from<T>(dtype, dims, std::vector<T>(static_cast<size_t>(*element_count(dims)), value));
}

Attributes to_codes(float x_scale, int64_t x_zero, float y_scale, int64_t y_zero, const char* to) {
  return {{"x_scale", x_scale},
          {"x_zero_point", x_zero},
          {"y_scale", y_scale},
          {"y_zero_point", y_zero},
          {"to", std::string(to)}};
}

TEST(CastExtremes, wraps_integers_as_numpy_and_saturates_floats) {
  const auto cast = [](const Tensor& x, const char* to) {
    Result<Tensor> y = evaluate_node("Cast", {x}, {{"to", std::string(to)}});
    return y ? to_doubles(*y) : std::vector<double>();
  };
  using ::testing::ElementsAre;
  const Tensor s32 = Tensor::from<int32_t>(DType::s32, {5}, std::vector<int32_t>{300, -129, -1, 65535, INT32_MIN});
  // numpy 2: np.array([300, -129, -1, 65535, -2**31], np.int32).astype(...)
  EXPECT_THAT(cast(s32, "s8"), ElementsAre(44, 127, -1, -1, 0));
  EXPECT_THAT(cast(s32, "u8"), ElementsAre(44, 127, 255, 255, 0));
  EXPECT_THAT(cast(s32, "s16"), ElementsAre(300, -129, -1, -1, 0));
  EXPECT_THAT(cast(s32, "u32"), ElementsAre(300, 4294967167, 4294967295, 65535, 2147483648));
  EXPECT_THAT(cast(s32, "bool"), ElementsAre(1, 1, 1, 1, 1));
  const Tensor s64 = Tensor::from<int64_t>(DType::s64, {3}, std::vector<int64_t>{(int64_t{1} << 60) + 5, -3, 0});
  EXPECT_THAT(cast(s64, "s32"), ElementsAre(5, -3, 0));
  EXPECT_THAT(cast(s64, "bool"), ElementsAre(1, 1, 0));
  const Tensor u8 = Tensor::from<uint8_t>(DType::u8, {3}, std::vector<uint8_t>{200, 128, 255});
  EXPECT_THAT(cast(u8, "s8"), ElementsAre(-56, -128, -1));
  const Tensor f32 = Tensor::from<float>(DType::f32, {5}, std::vector<float>{300, -300, 127.9f, -0.9f, NAN});
  EXPECT_THAT(cast(f32, "s8"), ElementsAre(127, -128, 127, 0, 0));
  EXPECT_THAT(cast(f32, "u8"), ElementsAre(255, 0, 127, 0, 0));
}

TEST(QuantConvExtremes, adds_4608_products_of_255_and_127_exactly) {
  // 255 * 127 * 4608 = 149 230 080, beyond the 2^24 up to which a float counts; the sum itself is a float.
  for (const int weight : {127, -127}) {
    const std::vector<Tensor> inputs = {filled<uint8_t>(DType::u8, {1, 512, 3, 3}, 255),
                                        filled<int8_t>(DType::s8, {1, 512, 3, 3}, static_cast<int8_t>(weight)),
                                        filled<float>(DType::f32, {1}, 1.0f)};
    Result<Tensor> y = evaluate_node("QuantConv", inputs,
                                     {{"x_scale", 1.0f}, {"x_zero_point", int64_t{0}}, {"to", std::string("f32")}});
    ASSERT_TRUE(y) << y.error().message;
    EXPECT_EQ(y->at<float>(0), static_cast<float>(255 * weight * 4608));
  }
}

TEST(QuantConvExtremes, says_that_a_sum_left_int32) {
  const std::vector<Tensor> inputs = {
      filled<uint8_t>(DType::u8, {1, 1, 1, 1}, 255), filled<int8_t>(DType::s8, {1, 1, 1, 1}, 127),
      filled<float>(DType::f32, {1}, 1.0f), filled<int32_t>(DType::s32, {1}, std::numeric_limits<int32_t>::max())};
  Result<Tensor> y =
      evaluate_node("QuantConv", inputs, {{"x_scale", 1.0f}, {"x_zero_point", int64_t{0}}, {"to", std::string("f32")}});
  ASSERT_FALSE(y);
  EXPECT_EQ(y.error().message, "node 'n' (QuantConv): an accumulator is 2147516032, more than int32 holds");
}

TEST(QuantGemmExtremes, converts_an_accumulator_to_float_with_one_rounding_to_even) {
  // 2^24 + 1 is no float: ties go to 2^24, 2^24 + 3 to 2^24 + 4.
  for (const auto& [bias, want] :
       std::vector<std::pair<int32_t, float>>{{16777217, 16777216.0f}, {16777219, 16777220.0f}}) {
    const std::vector<Tensor> inputs = {filled<uint8_t>(DType::u8, {1, 1}, 0), filled<int8_t>(DType::s8, {1, 1}, 1),
                                        filled<float>(DType::f32, {1}, 1.0f), filled<int32_t>(DType::s32, {1}, bias)};
    Result<Tensor> y = evaluate_node("QuantGemm", inputs,
                                     {{"x_scale", 1.0f}, {"x_zero_point", int64_t{0}}, {"to", std::string("f32")}});
    ASSERT_TRUE(y) << y.error().message;
    EXPECT_EQ(y->at<float>(0), want);
  }
}

TEST(QuantGemmExtremes, saturates_products_beyond_int32_and_gives_the_zero_point_for_nan) {
  const auto code = [](int8_t weight, float w_scale) {
    const std::vector<Tensor> inputs = {filled<uint8_t>(DType::u8, {1, 1}, 255),
                                        filled<int8_t>(DType::s8, {1, 1}, weight),
                                        filled<float>(DType::f32, {1}, w_scale)};
    Result<Tensor> y = evaluate_node("QuantGemm", inputs, to_codes(1.0f, 0, 1e-30f, -7, "s8"));
    return y ? static_cast<int>(y->at<int8_t>(0)) : -1000;
  };
  EXPECT_EQ(code(1, 1.0f), 127);
  EXPECT_EQ(code(-1, 1.0f), -128);
  EXPECT_EQ(code(1, 1e30f), 127);  // the multiplier itself is infinite
  EXPECT_EQ(code(-1, 1e30f), -128);
  EXPECT_EQ(code(0, 1e30f), -7);  // 0 * infinity
}

TEST(QuantAveragePoolExtremes, sums_more_than_2_to_24_exactly) {
  // 300 * 300 codes of 255: 22 950 000 needs 25 bits, and is even.
  Result<Tensor> y = evaluate_node("QuantGlobalAveragePool", {filled<uint8_t>(DType::u8, {1, 1, 300, 300}, 255)},
                                   to_codes(1.0f, 0, 1.0f, 0, "u8"));
  ASSERT_TRUE(y) << y.error().message;
  EXPECT_EQ(y->at<uint8_t>(0), 255);
}

TEST(QuantizeLinearExtremes, gives_the_zero_point_for_nan_and_saturates_infinities) {
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> x = {std::nanf(""), inf, -inf, 3e38f, -3e38f, 1e-45f};
  Result<Tensor> y =
      evaluate_node("QuantizeLinear",
                    {f32_tensor({6}, x), filled<float>(DType::f32, {}, 1e-3f), filled<int8_t>(DType::s8, {}, 5)}, {});
  ASSERT_TRUE(y) << y.error().message;
  EXPECT_THAT(y->as<int8_t>(), ::testing::ElementsAre(5, 127, -128, 127, -128, 5));
}

TEST(QuantizeLinearExtremes, divides_and_does_not_multiply_by_the_reciprocal) {
  // numpy float32: x / 0.3 rounds to 7.5, 22.5, 27.5, 57.5 or just below; x * (1 / 0.3) ends one code higher each time.
  const std::vector<float> x = {2.25f, 6.7500005f, 8.25f, 17.25f};
  Result<Tensor> y = evaluate_node("QuantizeLinear", {f32_tensor({4}, x), filled<float>(DType::f32, {}, 0.3f)}, {});
  ASSERT_TRUE(y) << y.error().message;
  EXPECT_THAT(y->as<uint8_t>(), ::testing::ElementsAre(7, 22, 27, 57));
}

TEST(MaxPoolExtremes, keeps_nan_and_minus_infinity) {
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> x = {-inf, -inf, std::nanf(""), 7.0f};
  Result<Tensor> y = evaluate_node("MaxPool", {f32_tensor({1, 1, 4}, x)},
                                   {{"kernel_shape", std::vector<int64_t>{2}}, {"strides", std::vector<int64_t>{2}}});
  ASSERT_TRUE(y) << y.error().message;
  EXPECT_EQ(y->at<float>(0), -inf);
  EXPECT_TRUE(std::isnan(y->at<float>(1)));
}

TEST(ConvAccuracy, sums_in_double_and_rounds_once) {
  // 1 + 2^25 ones of 2^-25 would stay 1 in float; here 4096 products of 2^-12 * 2^-13 beside a bias of 1 give 1 +
  // 2^-13.
  const std::vector<Tensor> inputs = {filled<float>(DType::f32, {1, 4096, 1, 1}, 0x1p-12f),
                                      filled<float>(DType::f32, {1, 4096, 1, 1}, 0x1p-13f),
                                      filled<float>(DType::f32, {1}, 1.0f)};
  Result<Tensor> y = evaluate_node("Conv", inputs, {});
  ASSERT_TRUE(y) << y.error().message;
  EXPECT_EQ(y->at<float>(0), 1.0f + 0x1p-13f);
}

TEST(ClipCodes, let_the_maximum_win_where_the_bounds_cross) {
  Attributes attributes = to_codes(1.0f, 0, 1.0f, 10, "u8");
  attributes["activation"] = std::string("Clip");
  attributes["activation_params"] = std::vector<float>{9.0f, 4.0f};
  const std::vector<Tensor> inputs = {filled<uint8_t>(DType::u8, {1, 1}, 100), filled<int8_t>(DType::s8, {1, 1}, 1),
                                      filled<float>(DType::f32, {1}, 1.0f)};
  Result<Tensor> y = evaluate_node("QuantGemm", inputs, attributes);
  ASSERT_TRUE(y) << y.error().message;
  EXPECT_EQ(y->at<uint8_t>(0), 14);  // code of 4
}

}  // namespace
}  // namespace octet::testing
