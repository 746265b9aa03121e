#include "kernels/normalize/normalize.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "kernels/ran_isa.h"
#include "kernels/random_rows.h"

namespace octet {
namespace {

using test::Buffer;
using test::Random;

constexpr float k_inf = std::numeric_limits<float>::infinity();

std::vector<float> softmax_in_double(const std::vector<float>& x) {
  double max = -std::numeric_limits<double>::infinity(), sum = 0;
  for (const float v : x) max = std::max(max, static_cast<double>(v));
  for (const float v : x) sum += std::exp(static_cast<double>(v) - max);
  std::vector<float> y;
  for (const float v : x) y.push_back(static_cast<float>(std::exp(static_cast<double>(v) - max) / sum));
  return y;
}

TEST(Normalize, every_isa_gives_the_scalar_bits_and_nothing_behind_the_row) {
  Random random(1);
  for (size_t n = 1; n <= 200; ++n) {
    Buffer<float> x(n), scale(n), bias(n);
    for (Buffer<float>* b : {&x, &scale, &bias}) random.fill(b->data(), n, 5.0f);
    Buffer<float> soft = x, layer = x, gelu = x;
    normalize_scalar.softmax(soft.data(), 1, n, 0);
    normalize_scalar.layer(layer.data(), 1, n, 0, 1e-5, scale.data(), bias.data());
    normalize_scalar.gelu(gelu.data(), n);
    for (const Isa isa : available_isas()) {
      const NormalizeKernels kernels = normalize_kernels(isa);
      Buffer<float> a = x, b = x, c = x;
      kernels.softmax(a.data(), 1, n, 0);
      kernels.layer(b.data(), 1, n, 0, 1e-5, scale.data(), bias.data());
      kernels.gelu(c.data(), n);
      ASSERT_TRUE(a.is_guard_intact() && b.is_guard_intact() && c.is_guard_intact()) << name(isa) << " n " << n;
      ASSERT_EQ(test::bits(a.values()), test::bits(soft.values())) << name(isa) << " n " << n;
      ASSERT_EQ(test::bits(b.values()), test::bits(layer.values())) << name(isa) << " n " << n;
      ASSERT_EQ(test::bits(c.values()), test::bits(gelu.values())) << name(isa) << " n " << n;
    }
  }
}

TEST(Normalize, rows_do_not_see_each_other_nor_what_lies_between) {
  Random random(7);
  for (const size_t n : {1u, 7u, 16u, 33u, 64u, 100u, 128u})
    for (size_t rows = 1; rows <= 9; ++rows) {
      const size_t step = n + 5;
      std::vector<float> x(rows * step), scale(n), bias(n);
      for (std::vector<float>* v : {&x, &scale, &bias}) random.fill(v->data(), v->size(), 5.0f);
      if (rows > 2) x[step] = std::numeric_limits<float>::quiet_NaN();
      if (rows > 3 && n > 1) x[3 * step] = -k_inf;
      std::vector<float> soft = x, layer = x;
      for (size_t r = 0; r < rows; ++r) {
        normalize_scalar.softmax(soft.data() + r * step, 1, n, 0);
        normalize_scalar.layer(layer.data() + r * step, 1, n, 0, 1e-5, scale.data(), bias.data());
      }
      for (const Isa isa : available_isas()) {
        const NormalizeKernels kernels = normalize_kernels(isa);
        std::vector<float> a = x, b = x;
        kernels.softmax(a.data(), rows, n, static_cast<ptrdiff_t>(step));
        kernels.layer(b.data(), rows, n, static_cast<ptrdiff_t>(step), 1e-5, scale.data(), bias.data());
        for (size_t i = 0; i < x.size(); ++i) {
          const std::string where = std::string(name(isa)) + " n " + std::to_string(n) + " at " + std::to_string(i);
          ASSERT_TRUE(a[i] == soft[i] || (std::isnan(a[i]) && std::isnan(soft[i]))) << where;
          ASSERT_TRUE(b[i] == layer[i] || (std::isnan(b[i]) && std::isnan(layer[i]))) << where;
        }
      }
    }
}

TEST(Normalize, softmax_is_the_formula_to_a_few_ulp) {
  Random random(2);
  for (const float spread : {0.01f, 3.0f, 60.0f})
    for (const size_t n : {1u, 2u, 17u, 64u, 1000u}) {
      std::vector<float> x(n);
      random.fill(x.data(), n, spread);
      const std::vector<float> want = softmax_in_double(x);
      normalize_scalar.softmax(x.data(), 1, n, 0);
      // x - max is rounded once, which the exponential turns into a relative error of |x - max| 2^-24.
      for (size_t i = 0; i < n; ++i)
        EXPECT_NEAR(x[i], want[i], (5e-7f + 2 * spread * 0x1p-24f) * want[i] + 1e-37f) << spread << " " << n;
    }
}

TEST(Normalize, a_masked_element_of_softmax_is_zero_and_a_nan_is_everywhere) {
  for (const Isa isa : available_isas()) {
    for (const size_t n : {3u, 8u, 19u, 40u}) {
      const NormalizeKernels kernels = normalize_kernels(isa);
      std::vector<float> masked(n, -k_inf), all = masked, nan(n, 1.0f), infinite(n, 1.0f);
      masked[n / 2] = 3.0f;
      kernels.softmax(masked.data(), 1, n, 0);
      for (size_t i = 0; i < n; ++i) EXPECT_EQ(masked[i], i == n / 2 ? 1.0f : 0.0f) << name(isa);
      nan[n - 1] = std::numeric_limits<float>::quiet_NaN();
      infinite[0] = k_inf;
      for (std::vector<float>* row : {&all, &nan}) {
        kernels.softmax(row->data(), 1, n, 0);
        for (const float v : *row) EXPECT_TRUE(std::isnan(v)) << name(isa) << " n " << n;
      }
      kernels.softmax(infinite.data(), 1, n, 0);
      EXPECT_TRUE(std::isnan(infinite[0])) << name(isa);
    }
  }
}

TEST(Normalize, layer_keeps_small_deviations_beside_a_large_mean) {
  std::vector<float> x, scale(130, 1.0f), bias(130, 0.0f);
  double sum = 0, squares = 0;
  for (int i = 0; i < 130; ++i)
    x.push_back(1e4f + 0.25f * static_cast<float>(i % 7)), sum += static_cast<double>(x.back());
  const double mean = sum / 130;
  for (const float v : x) squares += (static_cast<double>(v) - mean) * (static_cast<double>(v) - mean);
  const double inverse = 1 / std::sqrt(squares / 130 + 1e-5);
  std::vector<float> y = x;
  normalize_scalar.layer(y.data(), 1, y.size(), 0, 1e-5, scale.data(), bias.data());
  for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(y[i], (static_cast<double>(x[i]) - mean) * inverse, 1e-6);
}

// Rows that are constant, or whose squares leave f32's range, beside usual ones.
TEST(Normalize, layer_takes_rows_of_any_size_on_every_isa) {
  Random random(9);
  const float sizes[] = {0.0f, 1e-25f, 1e-12f, 1.0f, 1e10f, 1e25f, 3e37f};
  for (const size_t n : {1u, 5u, 16u, 47u, 128u}) {
    const size_t rows = std::size(sizes);
    std::vector<float> x(rows * n), scale(n), bias(n);
    for (std::vector<float>* v : {&x, &scale, &bias}) random.fill(v->data(), v->size(), 1.0f);
    for (size_t i = 0; i < x.size(); ++i) x[i] = sizes[i / n] == 0.0f ? 3.0f : x[i] * sizes[i / n];
    for (const Isa isa : available_isas()) {
      std::vector<float> y = x;
      normalize_kernels(isa).layer(y.data(), rows, n, static_cast<ptrdiff_t>(n), 1e-30, scale.data(), bias.data());
      for (size_t r = 0; r < rows; ++r) {
        double sum = 0, squares = 0;
        for (size_t i = 0; i < n; ++i) sum += static_cast<double>(x[r * n + i]);
        const double mean = sum / static_cast<double>(n);
        for (size_t i = 0; i < n; ++i) squares += std::pow(static_cast<double>(x[r * n + i]) - mean, 2);
        const double inverse = 1 / std::sqrt(squares / static_cast<double>(n) + 1e-30);
        for (size_t i = 0; i < n; ++i) {
          const double want = (static_cast<double>(x[r * n + i]) - mean) * inverse * static_cast<double>(scale[i]) +
                              static_cast<double>(bias[i]);
          ASSERT_NEAR(y[r * n + i], want, 4e-6) << name(isa) << " n " << n << " size " << sizes[r];
        }
      }
    }
  }
}

float gelu_of(float x) {
  normalize_scalar.gelu(&x, 1);
  return x;
}

TEST(Normalize, gelu_is_the_formula_for_both_signs) {
  for (float x = -13.0f; x < 14.0f; x += 0.00037f) {
    const double want = 0.5 * static_cast<double>(x) * std::erfc(-static_cast<double>(x) / std::sqrt(2.0));
    EXPECT_NEAR(gelu_of(x), want, (3e-7 + 3.7e-8 * static_cast<double>(x * x)) * std::fabs(want))
        << x;  // as it promises
  }
}

TEST(Normalize, gelu_is_half_of_small_numbers_and_all_of_large_ones) {
  for (const float x : {1e-3f, 1e-10f, 1e-30f}) {
    const double part = static_cast<double>(x) / std::sqrt(2.0 * std::numbers::pi);  // of x, beside the half
    EXPECT_NEAR(gelu_of(x) / x, 0.5 + part, 1e-7);
    EXPECT_NEAR(gelu_of(-x) / -x, 0.5 - part, 1e-7);
  }
  for (const float x : {13.2f, 1e10f, k_inf}) {
    EXPECT_EQ(gelu_of(x), x);
    EXPECT_NEAR(gelu_of(-x), 0.0f, 1.6e-38f);
  }
  EXPECT_TRUE(std::isnan(gelu_of(std::numeric_limits<float>::quiet_NaN())));
  EXPECT_TRUE(std::signbit(gelu_of(-0.0f)) && !std::signbit(gelu_of(0.0f)));
}

TEST(Normalize, gelu_has_the_same_bits_on_every_isa_for_all_kinds_of_floats) {
  std::vector<float> x;
  for (uint32_t exponent = 0; exponent < 256; ++exponent)  // the last are infinities and NaN
    for (uint32_t part = 0; part < 512; ++part)
      for (const uint32_t sign : {0u, 1u})
        x.push_back(std::bit_cast<float>(sign << 31 | exponent << 23 | part << 14 | (part * 2654435761u & 0x3fff)));
  std::vector<float> want = x;
  normalize_scalar.gelu(want.data(), want.size());
  for (const Isa isa : available_isas()) {
    std::vector<float> got = x;
    normalize_kernels(isa).gelu(got.data(), got.size());
    for (size_t i = 0; i < x.size(); ++i)
      ASSERT_TRUE(std::isnan(x[i]) ? std::isnan(got[i])
                                   : std::bit_cast<uint32_t>(got[i]) == std::bit_cast<uint32_t>(want[i]))
          << name(isa) << " at " << x[i];
  }
}

}  // namespace
}  // namespace octet
