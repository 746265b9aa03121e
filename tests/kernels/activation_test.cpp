#include "kernels/activation/activation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "kernels/ran_isa.h"
#include "kernels/random_rows.h"

namespace octet {
namespace {

using test::Buffer;
using test::Random;

constexpr float k_inf = std::numeric_limits<float>::infinity();
constexpr float k_nan = std::numeric_limits<float>::quiet_NaN();

const std::vector<ActivationParams> k_activations = {
    {ActivationKind::none, 0, 0},          {ActivationKind::relu, 0, 0},
    {ActivationKind::clip, -1.5f, 6.0f},   {ActivationKind::clip, 0.0f, k_inf},
    {ActivationKind::leaky_relu, 0.1f, 0}, {ActivationKind::leaky_relu, -2.0f, 0},
    {ActivationKind::sigmoid, 0, 0},       {ActivationKind::hard_sigmoid, 0.2f, 0.5f},
    {ActivationKind::hard_swish, 0, 0},    {ActivationKind::silu, 0, 0},
    {ActivationKind::tanh_, 0, 0}};

/// Values over all magnitudes, the borders of the exponential, zeros, denormals, infinities and NaN.
std::vector<float> odd_values() {
  std::vector<float> v = {0.0f,   -0.0f, 87.0f,  -87.0f,  88.0f,  -88.0f, 88.5f, -100.0f, 1e30f, -1e30f, k_inf,
                          -k_inf, k_nan, 1e-45f, -1e-45f, 1e-38f, 3.0f,   -3.0f, 6.0f,    -1.5f, 43.9f,  44.1f};
  for (float x = 1e-6f; x < 200.0f; x *= 1.01f) v.push_back(x), v.push_back(-x);
  return v;
}

TEST(Activation, every_function_gives_the_scalar_bits_on_every_isa) {
  const std::vector<float> odd = odd_values();
  for (const Isa isa : available_isas()) {
    for (const ActivationParams& activation : k_activations) {
      std::vector<float> expected = odd, got = odd;
      activation_kernels(Isa::scalar).activate(expected.data(), expected.size(), activation);
      activation_kernels(isa).activate(got.data(), got.size(), activation);
      ASSERT_EQ(test::bits(got), test::bits(expected)) << name(isa) << " kind " << static_cast<int>(activation.kind);
    }
  }
}

TEST(Activation, the_exponentials_give_the_scalar_bits_on_a_million_values) {
  Random random(1);
  std::vector<float> x(200000);
  random.fill(x.data(), x.size(), 95.0f);
  for (const ActivationKind kind :
       {ActivationKind::sigmoid, ActivationKind::silu, ActivationKind::tanh_, ActivationKind::hard_swish}) {
    std::vector<float> expected = x;
    activation_kernels(Isa::scalar).activate(expected.data(), x.size(), {kind});
    for (const Isa isa : available_isas()) {
      std::vector<float> got = x;
      activation_kernels(isa).activate(got.data(), x.size(), {kind});
      ASSERT_EQ(test::bits(got), test::bits(expected)) << name(isa) << " kind " << static_cast<int>(kind);
    }
  }
}

TEST(Activation, every_length_touches_its_values_and_nothing_behind_them) {
  Random random(2);
  for (size_t n = 0; n <= 70; ++n) {
    Buffer<float> x(n);
    random.fill(x.data(), n);
    for (const ActivationParams& activation : k_activations) {
      Buffer<float> expected = x;
      activation_kernels(Isa::scalar).activate(expected.data(), n, activation);
      for (const Isa isa : available_isas()) {
        Buffer<float> got = x;
        activation_kernels(isa).activate(got.data(), n, activation);
        ASSERT_TRUE(got.is_guard_intact()) << name(isa);
        ASSERT_EQ(test::bits(got.values()), test::bits(expected.values())) << name(isa) << " n " << n;
      }
    }
  }
}

TEST(Activation, quantize_gives_the_scalar_codes_on_every_isa) {
  Random random(3);
  for (size_t n = 0; n <= 200; ++n) {
    Buffer<float> v(n);
    for (size_t i = 0; i < n; ++i) v[i] = 0.5f * static_cast<float>(random.integer(-600, 600));
    const float odd[] = {k_nan, k_inf, -k_inf, 3e38f, -3e38f};
    for (size_t i = 0; i < n && i < std::size(odd); ++i) v[i * 3 % n] = odd[i];
    const int32_t zero_point = static_cast<int32_t>(random.integer(0, 255));
    const int32_t lo = static_cast<int32_t>(random.integer(0, 200)), hi = static_cast<int32_t>(random.integer(lo, 255));
    const float inverse = n % 3 == 0 ? 1e30f : n % 3 == 1 ? 1.0f : 0.73f;
    Buffer<uint8_t> expected(n);
    activation_kernels(Isa::scalar).quantize(v.data(), n, inverse, zero_point, lo, hi, expected.data());
    for (const Isa isa : available_isas()) {
      Buffer<uint8_t> q(n, 9);
      activation_kernels(isa).quantize(v.data(), n, inverse, zero_point, lo, hi, q.data());
      ASSERT_TRUE(q.is_guard_intact()) << name(isa);
      ASSERT_EQ(q.values(), expected.values()) << name(isa) << " n " << n;
    }
  }
}

// By hand: 0.5 -> 0, 1.5 -> 2, 2.5 -> 2, -0.5 -> 0, -1.5 -> -2 with zero point 10; NaN is the zero point.
TEST(Activation, quantize_rounds_ties_to_even_and_sends_nan_to_the_zero_point) {
  const std::vector<float> v = {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, k_nan, k_inf, -k_inf};
  for (const Isa isa : available_isas()) {
    std::vector<uint8_t> q(v.size());
    activation_kernels(isa).quantize(v.data(), v.size(), 1.0f, 10, 1, 200, q.data());
    EXPECT_EQ(q, (std::vector<uint8_t>{10, 12, 12, 10, 8, 10, 200, 1})) << name(isa);
  }
}

// Expected values: numpy in float64. The functions promise a few units in the last place.
TEST(Activation, functions_stay_within_2e_6_of_numpy) {
  const std::vector<float> x = {-9.0f, -3.5f, -1.0f, -0.25f, 0.0f, 0.5f, 2.0f, 6.0f, 20.0f};
  const std::vector<std::pair<ActivationParams, std::vector<float>>> cases = {
      {{ActivationKind::sigmoid, 0, 0},
       {0.000123394576f, 0.0293122308f, 0.268941421f, 0.437823499f, 0.5f, 0.622459331f, 0.880797078f, 0.997527377f,
        0.999999998f}},
      {{ActivationKind::silu, 0, 0},
       {-0.00111055118f, -0.102592808f, -0.268941421f, -0.109455875f, 0.0f, 0.311229666f, 1.76159416f, 5.98516426f,
        20.0f}},
      {{ActivationKind::tanh_, 0, 0},
       {-0.99999997f, -0.998177898f, -0.761594156f, -0.244918662f, 0.0f, 0.462117157f, 0.96402758f, 0.999987712f,
        1.0f}},
      {{ActivationKind::hard_swish, 0, 0},
       {0.0f, 0.0f, -0.333333333f, -0.114583333f, 0.0f, 0.291666667f, 1.66666667f, 6.0f, 20.0f}},
      {{ActivationKind::hard_sigmoid, 0.2f, 0.5f}, {0.0f, 0.0f, 0.3f, 0.45f, 0.5f, 0.6f, 0.9f, 1.0f, 1.0f}}};
  for (const auto& [activation, expected] : cases) {
    for (const Isa isa : available_isas()) {
      std::vector<float> v = x;
      activation_kernels(isa).activate(v.data(), v.size(), activation);
      for (size_t i = 0; i < v.size(); ++i)
        EXPECT_NEAR(v[i], expected[i], 2e-6f * std::fabs(expected[i]) + 1e-7f) << name(isa) << " x " << x[i];
    }
  }
}

TEST(Activation, nan_stays_nan_in_every_function) {
  for (const ActivationParams& activation : k_activations) {
    for (const Isa isa : available_isas()) {
      float v = k_nan;
      activation_kernels(isa).activate(&v, 1, activation);
      EXPECT_TRUE(std::isnan(v)) << name(isa) << " kind " << static_cast<int>(activation.kind);
    }
  }
}

TEST(Activation, the_named_isa_is_the_one_that_runs) {
  for (const Isa isa : available_isas()) EXPECT_EQ(std::string(activation_kernels(isa).name), float_isa_of(isa));
}

}  // namespace
}  // namespace octet
