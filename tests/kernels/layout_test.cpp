#include "kernels/layout/layout.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "kernels/conventions.h"
#include "kernels/ran_isa.h"
#include "kernels/random_rows.h"

namespace octet {
namespace {

using test::Buffer;
using test::Random;

struct Size {
  int64_t c, pixels, plane;
};

std::vector<Size> sizes() {
  std::vector<Size> all;
  for (const int64_t c : {1, 2, 3, 4, 5, 15, 16, 17, 32, 33, 50})
    for (const int64_t pixels : {0, 1, 2, 15, 16, 17, 31, 33, 49})
      all.push_back({c, pixels, pixels + (c + pixels) % 3});  // planes with and without a gap
  return all;
}

TEST(Layout, nchw_to_nhwc_f32_gives_the_scalar_bits_on_every_isa) {
  Random random(1);
  for (const auto& [c, pixels, plane] : sizes()) {
    const int64_t pitch = channel_pitch(c);
    Buffer<float> x(static_cast<size_t>(c * plane));
    random.fill(x.data(), x.size());
    Buffer<float> expected(static_cast<size_t>(pixels * pitch), 3.0f);
    layout_kernels(Isa::scalar).nchw_to_nhwc_f32(x.data(), plane, c, pixels, pitch, expected.data());
    for (const Isa isa : available_isas()) {
      Buffer<float> y(expected.size(), 5.0f);
      layout_kernels(isa).nchw_to_nhwc_f32(x.data(), plane, c, pixels, pitch, y.data());
      ASSERT_TRUE(y.is_guard_intact()) << name(isa);
      ASSERT_EQ(y.values(), expected.values()) << name(isa) << " c " << c << " pixels " << pixels;
    }
  }
}

TEST(Layout, squeezing_gives_the_scalar_bits_without_padding_channels_on_every_isa) {
  Random random(4);
  for (const auto& [c, pixels, plane] : sizes()) {
    if (c > 4) continue;
    Buffer<float> x(static_cast<size_t>(c * plane));
    for (size_t i = 0; i < x.size(); ++i) x[i] = 0.25f * static_cast<float>(random.integer(-700, 700));
    if (x.size() > 2) x[0] = std::numeric_limits<float>::quiet_NaN(), x[1] = 1e38f, x[2] = -1e38f;
    const auto count = static_cast<size_t>(c * pixels);
    const auto zero_point = static_cast<int32_t>(random.integer(0, 255));
    std::vector<float> floats(count);
    std::vector<uint8_t> codes(count);
    layout_kernels(Isa::scalar).nchw_to_nhwc_f32(x.data(), plane, c, pixels, c, floats.data());
    layout_kernels(Isa::scalar)
        .nchw_to_nhwc_quantize(x.data(), plane, c, pixels, c, 0.5f, zero_point, 0, 255, codes.data());
    for (const Isa isa : available_isas()) {
      const LayoutKernels kernels = layout_kernels(isa);
      Buffer<float> f(count + 3, 5.0f);
      Buffer<uint8_t> u(count + 3, 5);
      kernels.squeeze_f32(x.data(), plane, c, pixels, f.data());
      kernels.squeeze_quantize(x.data(), plane, c, pixels, 0.5f, zero_point, u.data());
      ASSERT_TRUE(f.is_guard_intact() && u.is_guard_intact()) << name(isa) << " c " << c << " pixels " << pixels;
      for (size_t i = 0; i < count; ++i) {
        ASSERT_TRUE(f[i] == floats[i] || (f[i] != f[i] && floats[i] != floats[i])) << name(isa) << " element " << i;
        ASSERT_EQ(u[i], codes[i]) << name(isa) << " c " << c << " pixels " << pixels << " element " << i;
      }
    }
  }
}

TEST(Layout, squeezing_looks_pixels_up_in_the_table_of_their_channel_on_every_isa) {
  Random random(5);
  for (const int64_t c : {1, 2, 3, 4})
    for (const int64_t pixels : {0, 1, 2, 3, 5, 15, 16, 17, 22, 31, 33, 48, 63, 64, 65, 70, 127, 130, 224})
      for (const int64_t gap : {0, 3}) {
        const int64_t plane = pixels + gap;
        Buffer<uint8_t> x(static_cast<size_t>(c * plane));
        for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<uint8_t>(i < 256 ? 255 - i : random.integer(0, 255));
        std::vector<uint8_t> tables(static_cast<size_t>(256 * c));
        for (uint8_t& code : tables) code = static_cast<uint8_t>(random.integer(0, 255));
        const auto count = static_cast<size_t>(c * pixels);
        for (const Isa isa : available_isas()) {
          Buffer<uint8_t> y(count + 3, 5);
          layout_kernels(isa).squeeze_lookup(x.data(), plane, c, pixels, tables.data(), y.data());
          ASSERT_TRUE(y.is_guard_intact()) << name(isa) << " c " << c << " pixels " << pixels;
          for (int64_t i = 0; i < c * pixels; ++i)
            ASSERT_EQ(y[static_cast<size_t>(i)],
                      tables[static_cast<size_t>(256 * (i % c) + x[static_cast<size_t>(i % c * plane + i / c)])])
                << name(isa) << " c " << c << " pixels " << pixels << " element " << i;
          Buffer<uint8_t> z(count, 5);  // the same bytes as pixels with all their channels
          layout_kernels(isa).lookup_pixels(x.data(), c, pixels, tables.data(), z.data());
          ASSERT_TRUE(z.is_guard_intact()) << name(isa) << " c " << c << " pixels " << pixels;
          for (int64_t i = 0; i < c * pixels; ++i)
            ASSERT_EQ(z[static_cast<size_t>(i)], tables[static_cast<size_t>(256 * (i % c) + x[static_cast<size_t>(i)])])
                << name(isa) << " c " << c << " pixels " << pixels << " element " << i;
        }
      }
}

TEST(Layout, quantizing_rounds_ties_and_their_neighbours_as_the_scalar_division_does) {
  Random random(7);
  std::vector<float> scales = {1.0f, 0.5f, 1.0f / 3, 0.017f, 7e-5f, 123.4f, 3e37f, 1e-37f, 0x1p-100f, 0x1p101f};
  for (int i = 0; i < 200; ++i) scales.push_back(std::exp(static_cast<float>(random.integer(-1000, 1000)) * 0.01f));
  constexpr int64_t k_pixels = 32;
  for (const float scale : scales) {
    Buffer<float> x(3 * k_pixels);
    for (size_t i = 0; i < x.size(); ++i) {
      const float tie = static_cast<float>(random.integer(-300, 300)) + (i % 5 == 0 ? 0.0f : 0.5f);
      x[i] = static_cast<float>(static_cast<double>(tie) * static_cast<double>(scale));
      const float towards = random.integer(0, 1) ? 1e38f : -1e38f;
      for (int64_t steps = random.integer(0, 3); steps > 0; --steps) x[i] = std::nextafter(x[i], towards);
    }
    std::vector<uint8_t> codes(x.size());
    layout_kernels(Isa::scalar)
        .nchw_to_nhwc_quantize(x.data(), k_pixels, 3, k_pixels, 3, scale, 100, 0, 255, codes.data());
    for (const Isa isa : available_isas()) {
      Buffer<uint8_t> u(x.size() + 3, 5);
      layout_kernels(isa).squeeze_quantize(x.data(), k_pixels, 3, k_pixels, scale, 100, u.data());
      for (size_t i = 0; i < codes.size(); ++i)
        ASSERT_EQ(u[i], codes[i]) << name(isa) << ", scale " << scale << ", element " << i;
    }
  }
}

TEST(Layout, nchw_to_nhwc_quantize_gives_the_scalar_codes_on_every_isa) {
  Random random(2);
  for (const auto& [c, pixels, plane] : sizes()) {
    const int64_t pitch = channel_pitch(c);
    Buffer<float> x(static_cast<size_t>(c * plane));
    for (size_t i = 0; i < x.size(); ++i) x[i] = 0.25f * static_cast<float>(random.integer(-700, 700));
    if (x.size() > 2) x[0] = std::numeric_limits<float>::quiet_NaN(), x[1] = 1e38f, x[2] = -1e38f;
    const int32_t zero_point = static_cast<int32_t>(random.integer(0, 255));
    const int32_t lo = static_cast<int32_t>(random.integer(0, 150)), hi = static_cast<int32_t>(random.integer(lo, 255));
    Buffer<uint8_t> expected(static_cast<size_t>(pixels * pitch), 3);
    layout_kernels(Isa::scalar)
        .nchw_to_nhwc_quantize(x.data(), plane, c, pixels, pitch, 0.5f, zero_point, lo, hi, expected.data());
    for (const Isa isa : available_isas()) {
      Buffer<uint8_t> y(expected.size(), 5);
      layout_kernels(isa).nchw_to_nhwc_quantize(x.data(), plane, c, pixels, pitch, 0.5f, zero_point, lo, hi, y.data());
      ASSERT_TRUE(y.is_guard_intact()) << name(isa);
      ASSERT_EQ(y.values(), expected.values()) << name(isa) << " c " << c << " pixels " << pixels;
    }
  }
}

TEST(Layout, nhwc_to_nchw_f32_gives_the_scalar_bits_and_leaves_gaps_between_planes_alone) {
  Random random(3);
  for (const auto& [c, pixels, plane] : sizes()) {
    const int64_t pitch = channel_pitch(c);
    Buffer<float> x(static_cast<size_t>(pixels * pitch));
    random.fill(x.data(), x.size());
    Buffer<float> expected(static_cast<size_t>(c * plane), 5.0f);
    layout_kernels(Isa::scalar).nhwc_to_nchw_f32(x.data(), pitch, c, pixels, plane, expected.data());
    for (const Isa isa : available_isas()) {
      Buffer<float> y(expected.size(), 5.0f);
      layout_kernels(isa).nhwc_to_nchw_f32(x.data(), pitch, c, pixels, plane, y.data());
      ASSERT_TRUE(y.is_guard_intact()) << name(isa);
      ASSERT_EQ(y.values(), expected.values()) << name(isa) << " c " << c << " pixels " << pixels;
    }
  }
}

TEST(Layout, there_and_back_is_the_identity) {
  Random random(4);
  for (const Isa isa : available_isas()) {
    Buffer<float> x(21 * 35), y(35 * 32), back(21 * 35);
    random.fill(x.data(), x.size());
    layout_kernels(isa).nchw_to_nhwc_f32(x.data(), 35, 21, 35, 32, y.data());
    layout_kernels(isa).nhwc_to_nchw_f32(y.data(), 32, 21, 35, 35, back.data());
    EXPECT_EQ(back.values(), x.values()) << name(isa);
  }
}

// By hand: two pixels, three planes; scale 0.5, zero point 10: code = 2 x + 10. Padding channels hold the zero point.
TEST(Layout, a_small_picture_made_by_hand) {
  const std::vector<float> x = {0.0f, 1.0f, 2.0f, 3.0f, -1.0f, 100.0f};
  for (const Isa isa : available_isas()) {
    std::vector<uint8_t> y(32);
    layout_kernels(isa).nchw_to_nhwc_quantize(x.data(), 2, 3, 2, 16, 0.5f, 10, 0, 200, y.data());
    std::vector<uint8_t> expected(32, 10);
    expected[0] = 10, expected[1] = 14, expected[2] = 8, expected[16] = 12, expected[17] = 16, expected[18] = 200;
    EXPECT_EQ(y, expected) << name(isa);
  }
}

TEST(Layout, the_named_isa_is_the_one_that_runs) {
  for (const Isa isa : available_isas()) EXPECT_EQ(std::string(layout_kernels(isa).name), float_isa_of(isa));
}

}  // namespace
}  // namespace octet
