#include "kernels/elementwise/elementwise.h"

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

/// 0, 1, every tail of a 64-wide step, and some more steps.
std::vector<size_t> lengths() {
  std::vector<size_t> all;
  for (size_t n = 0; n <= 130; ++n) all.push_back(n);
  for (const size_t n : {191u, 192u, 1000u}) all.push_back(n);
  return all;
}

/// Zero points, lo and hi with the extremes that a Relu or Clip in front of a code makes.
struct Codes {
  int32_t zero_point, lo, hi;
  explicit Codes(Random& random) {
    const int32_t choice[] = {0, 128, 255, static_cast<int32_t>(random.integer(0, 255))};
    zero_point = choice[random.integer(0, 3)];
    lo = random.integer(0, 1) ? zero_point : static_cast<int32_t>(random.integer(0, 100));
    hi = random.integer(0, 1) ? 255 : static_cast<int32_t>(random.integer(lo, 255));
  }
};

/// Small, usual, and so large that the products leave int32 or become infinite.
float multiplier(Random& random) {
  const float choice[] = {random.real(0.001f, 0.1f), random.real(0.1f, 2.0f), 0.5f, 1e8f, 3e38f, 1e-42f};
  return choice[random.integer(0, 5)];
}

AddU8Params add_params(Random& random) {
  const Codes codes(random);
  return {.a_zero_point = static_cast<int32_t>(random.integer(0, 255)),
          .b_zero_point = static_cast<int32_t>(random.integer(0, 255)),
          .y_zero_point = codes.zero_point,
          .lo = codes.lo,
          .hi = codes.hi,
          .a_multiplier = multiplier(random),
          .b_multiplier = multiplier(random)};
}

/// Runs `run(kernels, y)` on every ISA and wants the scalar one's result, and nothing written behind it.
template <class T, class Run>
void expect_every_isa_agrees(size_t n, Run run) {
  Buffer<T> expected(n);
  run(elementwise_kernels(Isa::scalar), expected.data());
  for (const Isa isa : available_isas()) {
    Buffer<T> y(n, T{5});
    run(elementwise_kernels(isa), y.data());
    ASSERT_TRUE(y.is_guard_intact()) << name(isa) << " n " << n;
    if constexpr (std::is_same_v<T, float>)
      ASSERT_EQ(test::bits(y.values()), test::bits(expected.values())) << name(isa) << " n " << n;
    else
      ASSERT_EQ(y.values(), expected.values()) << name(isa) << " n " << n;
  }
}

TEST(Elementwise, add_u8_gives_the_scalar_codes_on_every_isa) {
  Random random(1);
  for (int repeat = 0; repeat < 8; ++repeat)
    for (const size_t n : lengths()) {
      const AddU8Params p = add_params(random);
      if (p.a_multiplier > 1e9f && p.b_multiplier > 1e9f) continue;  // inf - inf: no such layer exists
      Buffer<uint8_t> a(n), b(n);
      random.fill(a.data(), n);
      random.fill(b.data(), n);
      expect_every_isa_agrees<uint8_t>(
          n, [&](const ElementwiseKernels& k, uint8_t* y) { k.add_u8(a.data(), b.data(), n, p, y); });
    }
}

TEST(Elementwise, add_constant_u8_gives_what_add_u8_gives_on_every_isa) {
  Random random(5);
  for (int repeat = 0; repeat < 8; ++repeat)
    for (const size_t n : lengths()) {
      const AddU8Params p = add_params(random);
      if (p.a_multiplier > 1e9f && p.b_multiplier > 1e9f) continue;  // inf - inf: no such layer exists
      Buffer<uint8_t> a(n), b(n), want(n);
      Buffer<float> second(n);
      random.fill(a.data(), n);
      random.fill(b.data(), n);
      for (size_t i = 0; i < n; ++i)
        second.data()[i] = static_cast<float>(b.data()[i] - p.b_zero_point) * p.b_multiplier;
      elementwise_scalar.add_u8(a.data(), b.data(), n, p, want.data());
      for (const Isa isa : available_isas()) {
        Buffer<uint8_t> y(n);
        elementwise_kernels(isa).add_constant_u8(a.data(), second.data(), n, p, y.data());
        ASSERT_TRUE(y.is_guard_intact()) << name(isa);
        ASSERT_EQ(y.values(), want.values()) << name(isa) << " n " << n;
      }
    }
}

TEST(Elementwise, mul_u8_gives_the_scalar_codes_on_every_isa) {
  Random random(2);
  for (int repeat = 0; repeat < 8; ++repeat)
    for (const size_t n : lengths()) {
      const Codes codes(random);
      const MulU8Params p = {.a_zero_point = static_cast<int32_t>(random.integer(0, 255)),
                             .b_zero_point = static_cast<int32_t>(random.integer(0, 255)),
                             .y_zero_point = codes.zero_point,
                             .lo = codes.lo,
                             .hi = codes.hi,
                             .multiplier = multiplier(random)};
      Buffer<uint8_t> a(n), b(n);
      random.fill(a.data(), n);
      random.fill(b.data(), n);
      expect_every_isa_agrees<uint8_t>(
          n, [&](const ElementwiseKernels& k, uint8_t* y) { k.mul_u8(a.data(), b.data(), n, p, y); });
    }
}

// The worst case of a tie: every code pair with multipliers whose sums fall on halves.
TEST(Elementwise, add_u8_agrees_on_all_65536_pairs_of_codes_at_ties) {
  std::vector<uint8_t> a(65536), b(65536);
  for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<uint8_t>(i), b[i] = static_cast<uint8_t>(i >> 8);
  for (const AddU8Params& p : {AddU8Params{100, 128, 77, 0, 255, 0.5f, 0.25f},
                               {100, 0, 77, 0, 255, 0.5f, 0.25f},
                               {0, 0, 0, 0, 127, 0.5f, 0.25f},
                               {100, 0, 128, 128, 255, 0.75f, 0.5f},
                               {0, 128, 5, 5, 250, 0.25f, 0.5f}})
    expect_every_isa_agrees<uint8_t>(
        a.size(), [&](const ElementwiseKernels& k, uint8_t* y) { k.add_u8(a.data(), b.data(), a.size(), p, y); });
}

TEST(Elementwise, mul_u8_agrees_on_all_65536_pairs_of_codes_at_ties) {
  std::vector<uint8_t> a(65536), b(65536);
  for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<uint8_t>(i), b[i] = static_cast<uint8_t>(i >> 8);
  const MulU8Params p = {128, 3, 20, 20, 250, 0.015625f};
  expect_every_isa_agrees<uint8_t>(
      a.size(), [&](const ElementwiseKernels& k, uint8_t* y) { k.mul_u8(a.data(), b.data(), a.size(), p, y); });
}

TEST(Elementwise, lookup_u8_gives_the_scalar_codes_on_every_isa) {
  Random random(3);
  std::vector<uint8_t> table(256), x(1024);
  random.fill(table.data(), table.size());
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<uint8_t>(i * 7 + i / 256);
  for (const size_t n : lengths())
    expect_every_isa_agrees<uint8_t>(
        n, [&](const ElementwiseKernels& k, uint8_t* y) { k.lookup_u8(x.data(), n, table.data(), y); });
}

TEST(Elementwise, lookup_rows_u8_gives_the_scalar_codes_and_leaves_what_lies_between_rows) {
  Random random(5);
  std::vector<uint8_t> table(256), x(20 * 256);
  random.fill(table.data(), table.size());
  random.fill(x.data(), x.size());
  for (const Isa isa : available_isas()) {
    const auto look_up = elementwise_kernels(isa).lookup_rows_u8;
    if (!look_up) continue;
    for (const int64_t n : {1, 16, 31, 32, 33, 64, 100, 128, 200})
      for (const int64_t rows : {0, 1, 2, 3, 7}) {
        const int64_t x_step = n + n % 17, y_step = n + 40;
        std::vector<uint8_t> y(static_cast<size_t>(8 * y_step), 77), expected = y;
        for (int64_t i = 0; i < rows * n; ++i)
          expected[static_cast<size_t>(i / n * y_step + i % n)] = table[x[static_cast<size_t>(i / n * x_step + i % n)]];
        look_up({x.data(), y.data(), x_step, y_step, rows, n}, table.data());
        EXPECT_EQ(y, expected) << name(isa) << " rows " << rows << " of " << n;
      }
  }
}

TEST(Elementwise, lookup_u8_may_work_in_place) {
  std::vector<uint8_t> table(256);
  for (size_t i = 0; i < 256; ++i) table[i] = static_cast<uint8_t>(255 - i);
  for (const Isa isa : available_isas()) {
    std::vector<uint8_t> x(256);
    for (size_t i = 0; i < 256; ++i) x[i] = static_cast<uint8_t>(i);
    elementwise_kernels(isa).lookup_u8(x.data(), x.size(), table.data(), x.data());
    EXPECT_EQ(x, table) << name(isa);
  }
}

TEST(Elementwise, float_rows_give_the_scalar_bits_on_every_isa) {
  Random random(4);
  for (const size_t n : lengths()) {
    Buffer<float> a(n), b(n);
    random.fill(a.data(), n);
    random.fill(b.data(), n);
    if (n > 3) a[0] = k_nan, a[1] = k_inf, b[1] = -k_inf, a[2] = 1e-44f, b[2] = -0.0f;
    expect_every_isa_agrees<float>(n,
                                   [&](const ElementwiseKernels& k, float* y) { k.add_f32(a.data(), b.data(), n, y); });
    expect_every_isa_agrees<float>(n,
                                   [&](const ElementwiseKernels& k, float* y) { k.mul_f32(a.data(), b.data(), n, y); });
    if (n > 5) a[3] = -k_inf, a[4] = -0.0f, a[5] = -1e-44f;
    expect_every_isa_agrees<float>(
        n, [&](const ElementwiseKernels& k, float* y) { k.prelu_f32(a.data(), b.data(), n, y); });
  }
}

TEST(Elementwise, mix_f32_weighs_two_or_four_rows) {
  Random random(11);
  for (const int rows : {2, 4})
    for (const size_t n : lengths()) {
      Buffer<float> x[4] = {Buffer<float>(n), Buffer<float>(n), Buffer<float>(n), Buffer<float>(n)};
      const float* from[4];
      float w[4];
      random.fill(w, 4);
      for (int r = 0; r < 4; ++r) random.fill(x[r].data(), n), from[r] = x[r].data();
      std::vector<float> y(n);
      elementwise_scalar.mix_f32(from, w, rows, n, y.data());
      for (size_t i = 0; i < n; ++i) {
        double want = 0, size = 0;
        for (int r = 0; r < rows; ++r) {
          const double term = static_cast<double>(x[r][i]) * static_cast<double>(w[r]);
          want += term, size += std::fabs(term);
        }
        EXPECT_NEAR(static_cast<double>(y[i]), want, size * 4 * 0x1p-24);
      }
      expect_every_isa_agrees<float>(n,
                                     [&](const ElementwiseKernels& k, float* to) { k.mix_f32(from, w, rows, n, to); });
    }
}

TEST(Elementwise, quantize_f32_gives_the_scalar_codes_on_every_isa) {
  Random random(5);
  for (int repeat = 0; repeat < 8; ++repeat)
    for (const size_t n : lengths()) {
      const Codes codes(random);
      const float scales[] = {0.1f, 0.017f, 1.0f, 0.25f, 1e-38f, 1e38f};
      const float scale = scales[random.integer(0, 5)];
      Buffer<float> x(n);
      // Values near and on the ties of the grid, and the odd ones.
      for (size_t i = 0; i < n; ++i) {
        x[i] =
            scale * (static_cast<float>(random.integer(-300, 300)) + 0.5f * static_cast<float>(random.integer(0, 1)));
        if (random.integer(0, 3) == 0) x[i] = std::nextafter(x[i], random.integer(0, 1) ? k_inf : -k_inf);
      }
      const float odd[] = {k_nan, k_inf, -k_inf, 3e38f, -3e38f, -0.0f, 1e-45f};
      for (size_t i = 0; i < n && i < std::size(odd); ++i) x[i * 5 % n] = odd[i];
      expect_every_isa_agrees<uint8_t>(n, [&](const ElementwiseKernels& k, uint8_t* y) {
        k.quantize_f32(x.data(), n, scale, codes.zero_point, codes.lo, codes.hi, y);
      });
    }
}

TEST(Elementwise, dequantize_u8_gives_the_scalar_bits_on_every_isa) {
  Random random(6);
  for (const size_t n : lengths()) {
    Buffer<uint8_t> q(n);
    random.fill(q.data(), n);
    expect_every_isa_agrees<float>(
        n, [&](const ElementwiseKernels& k, float* y) { k.dequantize_u8(q.data(), n, 0.0173f, 131, y); });
  }
}

// Expected codes: numpy, the fma evaluated in float64 (exact there) and rounded once to float32.
TEST(Elementwise, add_and_mul_give_the_codes_that_numpy_computes) {
  const std::vector<uint8_t> a = {0, 1, 7, 128, 200, 255, 255, 0}, b = {255, 3, 100, 128, 0, 255, 1, 0};
  for (const Isa isa : available_isas()) {
    std::vector<uint8_t> y(8);
    elementwise_kernels(isa).add_u8(a.data(), b.data(), 8, {128, 3, 10, 10, 250, 0.37f, 1.25f}, y.data());
    EXPECT_EQ(y, (std::vector<uint8_t>{250, 10, 86, 166, 33, 250, 54, 10})) << name(isa);
    elementwise_kernels(isa).mul_u8(a.data(), b.data(), 8, {128, 3, 10, 0, 255, 0.011f}, y.data());
    EXPECT_EQ(y, (std::vector<uint8_t>{0, 10, 0, 10, 8, 255, 7, 14})) << name(isa);
  }
}

// Expected codes: numpy's float32 division and rint. 0.25f / 0.1f is exactly 2.5 in float32 and goes to 2, whereas
// 0.15f / 0.1f rounds above 1.5.
TEST(Elementwise, quantize_f32_divides_and_rounds_ties_to_even_as_onnx_does) {
  const std::vector<float> x = {0.05f, 0.15f, 0.25f, -0.05f, 1e30f, -1e30f, k_inf, -k_inf, 12.75f, 0.35f, -0.0f, 3.0f};
  for (const Isa isa : available_isas()) {
    std::vector<uint8_t> q(x.size());
    elementwise_kernels(isa).quantize_f32(x.data(), x.size(), 0.1f, 7, 0, 255, q.data());
    EXPECT_EQ(q, (std::vector<uint8_t>{7, 9, 9, 7, 255, 0, 255, 0, 135, 11, 7, 37})) << name(isa);
  }
}

TEST(Elementwise, quantize_f32_sends_nan_to_the_zero_point) {
  for (const Isa isa : available_isas()) {
    std::vector<uint8_t> q(3);
    const std::vector<float> x = {k_nan, 1.0f, -k_nan};
    elementwise_kernels(isa).quantize_f32(x.data(), 3, 1.0f, 99, 0, 255, q.data());
    EXPECT_EQ(q, (std::vector<uint8_t>{99, 100, 99})) << name(isa);
  }
}

TEST(Elementwise, the_named_isa_is_the_one_that_runs) {
  for (const Isa isa : available_isas()) EXPECT_EQ(std::string(elementwise_kernels(isa).name), float_isa_of(isa));
}

}  // namespace
}  // namespace octet
