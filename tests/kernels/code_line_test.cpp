#include "kernels/depthwise/code_line.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "base/aligned_vector.h"
#include "kernels/conventions.h"
#include "kernels/depthwise/depthwise.h"
#include "kernels/random_rows.h"

namespace octet {
namespace {

using test::Buffer;
using test::Random;

struct Codes {
  uint8_t at[k_all_codes];
};

/// clamp(rne(slope * q + shift), lo, hi).
Codes rounded(double slope, double shift, int lo, int hi) {
  Codes codes;
  for (int q = 0; q < k_all_codes; ++q) {
    const double y = std::nearbyint(slope * q + shift);
    codes.at[q] = static_cast<uint8_t>(std::clamp(y, static_cast<double>(lo), static_cast<double>(hi)));
  }
  return codes;
}

::testing::AssertionResult gives(const CodeLine& line, const Codes& codes, int lo, int hi) {
  for (int q = 0; q < k_all_codes; ++q)
    if (const int got = line_code(line, static_cast<uint8_t>(q), lo, hi); got != codes.at[q])
      return ::testing::AssertionFailure() << got << " at " << q << ", and not " << int{codes.at[q]};
  return ::testing::AssertionSuccess();
}

TEST(CodeLine, its_code_is_that_of_the_formula) {
  // (10 * 256 + 4) * 16384 / 65536 = 641; 641 + 100 = 741; 741 * 512 / 65536 = 5.8.
  EXPECT_EQ(line_code({.low = 4, .slope = 16384, .add = 100, .shift = 512}, 10, 0, 255), 5);
  EXPECT_EQ(line_code({.low = 4, .slope = 16384, .add = 100, .shift = 512}, 10, 7, 255), 7);
  EXPECT_EQ(line_code({.low = 4, .slope = 16384, .add = 100, .shift = 512}, 10, 0, 3), 3);
  EXPECT_EQ(line_code({.low = 4, .slope = 16384, .add = -642, .shift = 512}, 10, 0, 255), 0);
  EXPECT_EQ(line_code({.slope = 32767, .add = 32767, .shift = 512}, 255, 0, 255), 255);
  EXPECT_EQ(line_code({.flip = 255, .slope = 16384, .shift = 512}, 255, 0, 255), 0);
}

TEST(CodeLine, saturation_clamps_where_the_largest_word_is_the_largest_code) {
  EXPECT_TRUE(is_clamped_by_saturation({.shift = 512}, 0, 255));
  EXPECT_TRUE(is_clamped_by_saturation({.shift = 256}, 0, 127));
  EXPECT_TRUE(is_clamped_by_saturation({.shift = 16384}, 0, 255));
  EXPECT_FALSE(is_clamped_by_saturation({.shift = 512}, 1, 255));
  EXPECT_FALSE(is_clamped_by_saturation({.shift = 512}, 0, 254));
  EXPECT_FALSE(is_clamped_by_saturation({.shift = 512}, 0, 127));
}

TEST(CodeLine, nearly_every_line_is_met_in_all_its_codes) {
  Random random(1);
  int found = 0, all = 0;
  for (int i = 0; i < 6000; ++i, ++all) {
    const int lo = static_cast<int>(random.integer(0, 2) == 0 ? random.integer(0, 200) : 0);
    const int hi = static_cast<int>(random.integer(0, 2) == 0 ? random.integer(lo, 255) : 255);
    const double slope = std::exp2(random.real(-8.0f, 4.9f)) * (random.integer(0, 3) == 0 ? -1 : 1);
    const double shift = random.real(0.0f, 255.0f) - slope * static_cast<double>(random.integer(0, 255));
    const Codes codes = rounded(slope, shift, lo, hi);
    const std::optional<CodeLine> line = find_code_line(codes.at, slope, lo, hi);
    if (!line) continue;
    ++found;
    ASSERT_TRUE(gives(*line, codes, lo, hi)) << slope << " * q + " << shift << " in " << lo << " .. " << hi;
  }
  EXPECT_GT(found, all * 99 / 100);
}

TEST(CodeLine, constants_and_the_identity_are_lines) {
  for (const int code : {0, 1, 77, 254, 255}) {
    const Codes codes = rounded(0, code, 0, 255);
    for (const double slope : {0.0, 0.7, -0.7, 500.0}) {
      const std::optional<CodeLine> line = find_code_line(codes.at, slope, 0, 255);
      ASSERT_TRUE(line);
      EXPECT_TRUE(gives(*line, codes, 0, 255));
    }
  }
  for (const double slope : {1.0, -1.0}) {
    const Codes codes = rounded(slope, slope < 0 ? 255 : 0, 0, 255);
    const std::optional<CodeLine> line = find_code_line(codes.at, slope, 0, 255);
    ASSERT_TRUE(line);
    EXPECT_TRUE(gives(*line, codes, 0, 255));
  }
}

TEST(CodeLine, codes_of_no_line_and_steep_lines_have_none) {
  Codes codes = rounded(0.5, 3, 0, 255);
  codes.at[100] = 0;
  EXPECT_FALSE(find_code_line(codes.at, 0.5, 0, 255));
  codes = rounded(0.5, 3, 0, 255);
  codes.at[100] = codes.at[101] = codes.at[102];  // still rises everywhere
  EXPECT_FALSE(find_code_line(codes.at, 0.5, 0, 255));
  EXPECT_FALSE(find_code_line(rounded(200, -20000, 0, 255).at, 200, 0, 255));
}

/// A scale and a shift per channel in front of another layer. steep: one channel is no line, so that its block is none.
void expect_scalar_bytes(int64_t channels, int64_t pixels, bool steep, Random& random) {
  std::vector<int8_t> weights(static_cast<size_t>(channels));
  std::vector<int32_t> bias(weights.size());
  std::vector<float> multiplier(weights.size());
  for (int8_t& w : weights) w = random.integer(0, 3) == 0 ? -127 : 127;
  for (int32_t& b : bias) b = static_cast<int32_t>(random.integer(-20000, 20000));
  for (float& m : multiplier) m = std::exp2(random.real(-14.0f, -4.0f));
  if (steep) multiplier[static_cast<size_t>(random.integer(0, channels - 1))] = 3.0f;
  ConvU8S8Desc desc;
  desc.geometry.ic = desc.geometry.oc = desc.geometry.groups = channels;
  desc.geometry.ih = desc.geometry.iw = desc.geometry.oh = desc.geometry.ow = 1;
  desc.geometry.x_pitch = desc.geometry.y_pitch = channel_pitch(channels);
  desc.weights = weights, desc.bias = bias, desc.multiplier = multiplier;
  desc.x_zero_point = static_cast<int32_t>(random.integer(0, 255));
  desc.y_zero_point = static_cast<int32_t>(random.integer(0, 2)) * 64;
  desc.lo = desc.y_zero_point;
  desc.hi = static_cast<int32_t>(random.integer(desc.lo, 255));
  desc.has_residual = random.integer(0, 1) == 0;
  desc.residual_zero_point = 128;
  desc.residual_multiplier = random.real(0.001f, 0.02f);
  std::vector<uint8_t> residual(desc.has_residual ? weights.size() : 0);
  random.fill(residual.data(), residual.size());

  const int64_t x_pitch = channel_pitch(channels) + 16 * random.integer(0, 3),
                y_pitch = channels + random.integer(0, 40);
  AlignedVector<uint8_t> x(static_cast<size_t>(pixels * x_pitch) + k_tail_bytes);
  random.fill(x.data(), x.size());
  const auto run = [&](Isa isa, bool is_followed) {
    Buffer<uint8_t> y(static_cast<size_t>(pixels * y_pitch), 200);
    PointwiseU8S8::make(desc, residual, isa)->run(x.data(), x_pitch, pixels, y.data(), y_pitch, is_followed);
    EXPECT_TRUE(y.is_guard_intact());
    return y.values();
  };
  const std::vector<uint8_t> expected = run(Isa::scalar, false);
  for (const Isa isa : available_isas())
    for (const bool is_followed : {false, true})
      ASSERT_EQ(run(isa, is_followed), expected)
          << name(isa) << ", " << channels << " channels, " << pixels << " pixels";
}

TEST(PointwiseU8S8, every_isa_gives_the_scalar_bytes_and_writes_no_others) {
  Random random(2);
  for (const int64_t channels : {2, 16, 17, 31, 32, 33, 48, 63, 64, 65, 96, 100, 128, 160, 224, 1000})
    for (const int64_t pixels : {1, 2, 3, 24, 67})
      for (const bool steep : {false, true}) expect_scalar_bytes(channels, pixels, steep, random);
}

}  // namespace
}  // namespace octet
