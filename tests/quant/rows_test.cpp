// Every ISA's rows against the plain C++ ones, bit for bit; lengths cover empty, tails and one over.

#include "quant/rows/rows.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

namespace octet {
namespace {

constexpr float k_infinity = std::numeric_limits<float>::infinity();
constexpr float k_nan = std::numeric_limits<float>::quiet_NaN();

/// Ties, bounds, subnormals, infinities, NaN, and random numbers of many sizes.
std::vector<float> awkward(size_t n, unsigned seed) {
  const float special[] = {0.0f,       -0.0f,        0.5f,     1.5f,        2.5f,     -0.5f,    127.5f,
                           -128.5f,    k_infinity,   k_nan,    -k_infinity, 0x1p-24f, 0x1p-9f,  0x1.8p-10f,
                           -0x1p-149f, 448.0f,       464.0f,   65504.0f,    65519.0f, 65520.0f, 1e-30f,
                           -3e38f,     0x1.ffcp-15f, 0x1p-25f, 0x1.8p-25f};
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 60);
  std::vector<float> x(n);
  for (size_t i = 0; i < n; ++i) {
    const unsigned kind = random() % 4;
    x[i] = kind == 0   ? special[random() % std::size(special)]
           : kind == 1 ? std::ldexp(normal(random), static_cast<int>(random() % 60) - 40)
                       : normal(random);
  }
  return x;
}

/// A NaN is a NaN: which operand's payload survives is not arithmetic.
template <class T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if constexpr (std::is_same_v<T, float>) {
      if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    }
    if (std::memcmp(&a[i], &b[i], sizeof(T)) != 0) return false;
  }
  return true;
}

class RowsOnEachIsa : public testing::TestWithParam<const QuantRows*> {
 protected:
  static constexpr size_t k_sizes[] = {0, 1, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 250, 1021};

  /// run(rows, y) fills y; both sets must give the same, with a guard behind the end.
  template <class T, class Run>
  void expect_equal(size_t n, Run run) {
    std::vector<T> wanted(n + 1, T{42}), got(n + 1, T{42});
    run(quant_rows_scalar, wanted.data());
    run(*GetParam(), got.data());
    EXPECT_TRUE(same(got, wanted)) << GetParam()->name << " n=" << n;
    EXPECT_EQ(got[n], T{42}) << "written beyond the end";
  }
};

TEST_P(RowsOnEachIsa, quantize_and_fake_quantize) {
  for (const size_t n : k_sizes) {
    const std::vector<float> x = awkward(n, 1);
    std::vector<float> s = awkward(n + 1, 2), d = s;
    for (size_t i = 0; i <= n; ++i) d[i] = s[i] == 0 ? 1.0f : s[i];
    for (const bool each : {false, true}) {
      expect_equal<float>(n,
                          [&](const QuantRows& r, float* y) { r.quantize(x.data(), n, s.data(), each, -127, 127, y); });
      expect_equal<float>(n, [&](const QuantRows& r, float* y) {
        r.fake_quantize(x.data(), n, s.data(), d.data(), each, -128, 127, y);
      });
    }
  }
}

TEST_P(RowsOnEachIsa, in_place) {
  const std::vector<float> x = awkward(999, 3);
  const float s = 1.27f;
  std::vector<float> wanted(999), y = x;
  quant_rows_scalar.fake_quantize(x.data(), 999, &s, &s, false, -127, 127, wanted.data());
  GetParam()->fake_quantize(y.data(), 999, &s, &s, false, -127, 127, y.data());
  EXPECT_TRUE(same(y, wanted));
}

TEST_P(RowsOnEachIsa, gradients_clip_and_affine) {
  for (const size_t n : k_sizes) {
    const std::vector<float> x = awkward(n, 4), dy = awkward(n, 5), hi = awkward(n + 1, 6);
    std::vector<float> lo = hi;
    for (float& v : lo) v = -v;
    for (const bool each : {false, true}) {
      expect_equal<float>(n, [&](const QuantRows& r, float* y) {
        r.pass_within(x.data(), dy.data(), n, lo.data(), hi.data(), each, y);
      });
    }
    std::vector<float> bottom(n + 1, -3.0f), top(n + 1, 20.0f);
    for (const bool each : {false, true}) {
      expect_equal<float>(
          n, [&](const QuantRows& r, float* y) { r.clip(x.data(), n, bottom.data(), top.data(), each, y); });
    }
    expect_equal<float>(n, [&](const QuantRows& r, float* y) { r.affine(x.data(), n, 0.37f, 11, -128, 127, y); });
  }
}

TEST_P(RowsOnEachIsa, e4m3) {
  for (const size_t n : k_sizes) {
    const std::vector<float> x = awkward(n, 7);
    std::vector<float> s = awkward(n + 1, 8);
    for (const bool each : {false, true}) {
      expect_equal<float>(n, [&](const QuantRows& r, float* y) { r.e4m3(x.data(), n, s.data(), each, y); });
    }
    expect_equal<float>(n, [&](const QuantRows& r, float* y) { r.e4m3(x.data(), n, nullptr, false, y); });
  }
}

TEST_P(RowsOnEachIsa, maxima_and_signs) {
  for (const size_t n : k_sizes) {
    std::vector<float> x = awkward(n, 9);
    EXPECT_EQ(GetParam()->abs_max(x.data(), n), quant_rows_scalar.abs_max(x.data(), n));
    EXPECT_EQ(GetParam()->any_negative(x.data(), n), quant_rows_scalar.any_negative(x.data(), n));
    for (float& v : x) v = std::isnan(v) ? v : -0.0f;
    EXPECT_FALSE(GetParam()->any_negative(x.data(), n)) << "-0 and NaN are not negative";
  }
}

TEST_P(RowsOnEachIsa, all_halves_and_all_bfloat16_widen) {
  std::vector<uint16_t> all(65536);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint16_t>(i);
  expect_equal<float>(all.size(), [&](const QuantRows& r, float* y) { r.from_f16(all.data(), all.size(), y); });
  expect_equal<float>(all.size(), [&](const QuantRows& r, float* y) { r.from_bf16(all.data(), all.size(), y); });
}

TEST_P(RowsOnEachIsa, floats_round_to_the_short_forms) {
  for (const size_t n : k_sizes) {
    const std::vector<float> x = awkward(n, 10);
    expect_equal<uint16_t>(n, [&](const QuantRows& r, uint16_t* y) { r.to_f16(x.data(), n, y); });
    expect_equal<uint16_t>(n, [&](const QuantRows& r, uint16_t* y) { r.to_bf16(x.data(), n, y); });
    std::vector<float> whole = x;
    for (float& v : whole) v = std::isnan(v) ? v : std::nearbyint(std::fmin(std::fmax(v, -127.0f), 127.0f));
    expect_equal<int8_t>(n, [&](const QuantRows& r, int8_t* y) { r.to_s8(whole.data(), n, y); });
    expect_equal<int16_t>(n, [&](const QuantRows& r, int16_t* y) { r.to_s16(whole.data(), n, y); });
    for (float& v : whole) v = std::abs(v) * 2;
    expect_equal<uint8_t>(n, [&](const QuantRows& r, uint8_t* y) { r.to_u8(whole.data(), n, y); });
    for (float& v : whole) v = v * 257;
    expect_equal<uint16_t>(n, [&](const QuantRows& r, uint16_t* y) { r.to_u16(whole.data(), n, y); });
  }
}

std::vector<const QuantRows*> sets_here() {
  std::vector<const QuantRows*> sets;
  for (const Isa isa : available_isas()) {
    const QuantRows* rows = &quant_rows(isa);
    if (sets.empty() || sets.back() != rows) sets.push_back(rows);
  }
  return sets;
}
INSTANTIATE_TEST_SUITE_P(Here, RowsOnEachIsa, testing::ValuesIn(sets_here()),
                         [](const auto& rows) { return std::string(rows.param->name); });

TEST(QuantRows, octet_isa_forces_the_set_that_runs) {
  const char* before = std::getenv("OCTET_ISA");
  const std::string kept = before ? before : "";
  for (const Isa isa : available_isas()) {
    ::setenv("OCTET_ISA", std::string(name(isa)).c_str(), 1);
    const Result<const QuantRows*> rows = chosen_quant_rows();
    ASSERT_TRUE(rows);
    EXPECT_STREQ((*rows)->name, isa == Isa::avx_vnni ? "avx2" : std::string(name(isa)).c_str());
  }
  ::setenv("OCTET_ISA", "sse9", 1);
  EXPECT_FALSE(chosen_quant_rows());
  before ? ::setenv("OCTET_ISA", kept.c_str(), 1) : ::unsetenv("OCTET_ISA");
}

}  // namespace
}  // namespace octet
