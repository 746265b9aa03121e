#include "tensor/activation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace octet {
namespace {

constexpr float k_inf = std::numeric_limits<float>::infinity();
constexpr float k_nan = std::numeric_limits<float>::quiet_NaN();

// |y - truth| in units of the last place of a float of truth's size.
double error_in_ulps(float y, double truth) {
  int exponent = 0;
  std::frexp(truth, &exponent);
  return std::abs(y - truth) / std::ldexp(1.0, exponent - 24);
}

float act(Activation a, float x, std::vector<float> params = {}) { return activate(a, params, x); }

TEST(ExpF32, is_within_one_ulp_of_the_double_exponential) {
  // Every 4001st float of either sign in [-87, 88].
  double worst = 0;
  for (uint32_t bits = 0; bits <= std::bit_cast<uint32_t>(88.0f); bits += 4001) {
    const auto x = std::bit_cast<float>(bits);
    worst = std::max(worst, error_in_ulps(exp_f32(x), std::exp(static_cast<double>(x))));
    if (x <= 87.0f) worst = std::max(worst, error_in_ulps(exp_f32(-x), std::exp(-static_cast<double>(x))));
  }
  EXPECT_LT(worst, 1.0);
}

TEST(ExpF32, is_exact_at_zero_and_saturates_outside_its_range) {
  EXPECT_EQ(exp_f32(0.0f), 1.0f);
  EXPECT_EQ(exp_f32(-0.0f), 1.0f);
  EXPECT_EQ(exp_f32(1000.0f), exp_f32(88.0f));
  EXPECT_EQ(exp_f32(k_inf), exp_f32(88.0f));
  EXPECT_EQ(exp_f32(-k_inf), exp_f32(-87.0f));
  EXPECT_TRUE(std::isnormal(exp_f32(-87.0f)));
  EXPECT_TRUE(std::isnormal(exp_f32(88.0f)));
  EXPECT_TRUE(std::isnan(exp_f32(k_nan)));
}

TEST(ExpF32, has_the_bits_that_an_independent_evaluation_of_the_definition_gives) {
  // Every operation in exact rational arithmetic (Python fractions), rounded once to f32.
  // tests/tensor/golden/exp_f32.py prints this table.
  const std::vector<std::pair<float, uint32_t>> expected = {
      {-0x1.5c00000000000p+6f, 0x00b33687u},  {-0x1.5a00000000000p+6f, 0x0113bc74u},
      {-0x1.9200000000000p+5f, 0x1b35981cu},  {-0x1.4333340000000p+3f, 0x382c4cd2u},
      {-0x1.b333340000000p+0f, 0x3e3b1163u},  {-0x1.62e4300000000p-2f, 0x3f3504f3u},
      {-0x1.0624de0000000p-10f, 0x3f7fbe7fu}, {0x1.0000000000000p-30f, 0x3f800000u},
      {0x1.99999a0000000p-4f, 0x3f8d763eu},   {0x1.62e4300000000p-2f, 0x3fb504f3u},
      {0x1.0000000000000p-1f, 0x3fd3094cu},   {0x1.0000000000000p+0f, 0x402df854u},
      {0x1.5bf09a0000000p+1f, 0x417277c0u},   {0x1.3fae140000000p+3f, 0x46aa5e96u},
      {0x1.f6a7860000000p+4f, 0x56202e6bu},   {0x1.0000000000000p+6f, 0x6da12cc2u},
      {0x1.5d33340000000p+6f, 0x7e76d06eu},   {0x1.6000000000000p+6f, 0x7ef882b7u},
  };
  for (const auto& [x, bits] : expected) EXPECT_EQ(std::bit_cast<uint32_t>(exp_f32(x)), bits) << x;
}

TEST(Activate, follows_the_textbook_functions_closely) {
  for (float x = -20.0f; x <= 20.0f; x += 0.37f) {
    const double d = x;
    EXPECT_NEAR(act(Activation::sigmoid, x), 1 / (1 + std::exp(-d)), 1e-7) << x;
    EXPECT_NEAR(act(Activation::silu, x), d / (1 + std::exp(-d)), 3e-7 * (1 + std::abs(d))) << x;
    EXPECT_NEAR(act(Activation::tanh, x), std::tanh(d), 2e-7) << x;
    EXPECT_NEAR(act(Activation::hard_swish, x), d * std::min(std::max(d / 6 + 0.5, 0.0), 1.0), 3e-6) << x;
    EXPECT_NEAR(act(Activation::hard_sigmoid, x, {0.2f, 0.5f}), std::min(std::max(0.2 * d + 0.5, 0.0), 1.0), 1e-6) << x;
  }
}

TEST(Activate, is_exact_for_the_piecewise_linear_functions) {
  EXPECT_EQ(act(Activation::none, -3.5f), -3.5f);
  EXPECT_EQ(act(Activation::relu, -3.5f), 0.0f);
  EXPECT_EQ(act(Activation::relu, 3.5f), 3.5f);
  EXPECT_EQ(act(Activation::clip, -1.0f, {0.0f, 6.0f}), 0.0f);
  EXPECT_EQ(act(Activation::clip, 7.0f, {0.0f, 6.0f}), 6.0f);
  EXPECT_EQ(act(Activation::clip, 7.0f, {9.0f, 6.0f}), 6.0f);  // min above max: max wins, as ONNX says
  EXPECT_EQ(act(Activation::leaky_relu, -2.0f, {0.25f}), -0.5f);
  EXPECT_EQ(act(Activation::leaky_relu, 2.0f, {0.25f}), 2.0f);
  EXPECT_EQ(act(Activation::hard_swish, -3.5f), 0.0f);
  EXPECT_EQ(act(Activation::hard_swish, 4.0f), 4.0f);
}

TEST(Activate, keeps_nan_in_every_function) {
  for (const Activation a : {Activation::none, Activation::relu, Activation::sigmoid, Activation::hard_swish,
                             Activation::silu, Activation::tanh})
    EXPECT_TRUE(std::isnan(act(a, k_nan))) << name(a);
  EXPECT_TRUE(std::isnan(act(Activation::clip, k_nan, {0.0f, 6.0f})));
  EXPECT_TRUE(std::isnan(act(Activation::leaky_relu, k_nan, {0.1f})));
  EXPECT_TRUE(std::isnan(act(Activation::hard_sigmoid, k_nan, {0.2f, 0.5f})));
}

TEST(Activate, has_the_limits_of_its_functions_at_infinity) {
  EXPECT_EQ(act(Activation::sigmoid, k_inf), 1.0f);
  EXPECT_LT(act(Activation::sigmoid, -k_inf), 1e-37f);
  EXPECT_EQ(act(Activation::tanh, k_inf), 1.0f);
  EXPECT_EQ(act(Activation::tanh, -k_inf), -1.0f);
  EXPECT_EQ(act(Activation::silu, k_inf), k_inf);
  EXPECT_NEAR(act(Activation::silu, -1000.0f), 0.0f, 1e-30);
}

TEST(ActivationName, reads_back_what_it_prints) {
  for (const Activation a :
       {Activation::none, Activation::relu, Activation::clip, Activation::leaky_relu, Activation::sigmoid,
        Activation::hard_sigmoid, Activation::hard_swish, Activation::silu, Activation::tanh}) {
    const Result<Activation> back = activation_from_name(name(a));
    ASSERT_TRUE(back);
    EXPECT_EQ(*back, a);
  }
}

TEST(ActivationName, refuses_an_unknown_word_and_lists_the_known_ones) {
  const Result<Activation> made = activation_from_name("relu");
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, testing::HasSubstr("unknown activation 'relu'; known are Relu, Clip"));
}

}  // namespace
}  // namespace octet
