#include "kernels/pool/pool.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "kernels/ran_isa.h"
#include "kernels/random_rows.h"
#include "tensor/half.h"

namespace octet {
namespace {

using test::Buffer;
using test::Random;

constexpr float k_inf = std::numeric_limits<float>::infinity();
constexpr float k_nan = std::numeric_limits<float>::quiet_NaN();

WindowGeometry geometry(int64_t c, int64_t k, int64_t stride, int64_t pad, int64_t ih, int64_t iw,
                        int64_t dilation = 1) {
  WindowGeometry g;
  g.ic = g.oc = c;
  g.ih = ih, g.iw = iw, g.kh = g.kw = k;
  g.stride_h = g.stride_w = stride;
  g.pad_top = g.pad_left = pad;
  g.dilation_h = g.dilation_w = dilation;
  g.oh = (ih + 2 * pad - dilation * (k - 1) - 1) / stride + 1;
  g.ow = (iw + 2 * pad - dilation * (k - 1) - 1) / stride + 1;
  g.x_pitch = g.y_pitch = channel_pitch(c);
  return g;
}

std::vector<WindowGeometry> geometries() {
  std::vector<WindowGeometry> all;
  for (const int64_t c : {1, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100}) {
    all.push_back(geometry(c, 3, 2, 1, 9, 11));
    all.push_back(geometry(c, 2, 2, 0, 6, 6));
    all.push_back(geometry(c, 3, 1, 1, 4, 5, 2));
    all.push_back(geometry(c, 5, 3, 2, 7, 1));
  }
  WindowGeometry beyond = geometry(20, 2, 2, 0, 5, 5);  // ceil_mode: the last windows reach past the image
  beyond.oh = beyond.ow = 3;
  all.push_back(beyond);
  WindowGeometry among = geometry(48, 3, 2, 1, 9, 11);  // between the channels of others
  among.x_pitch += 32, among.y_pitch += 16;
  all.push_back(among);
  WindowGeometry outside = geometry(20, 2, 1, 3, 4, 4);  // windows wholly in the padding
  all.push_back(outside);
  return all;
}

/// Runs every row of outputs on every ISA; wants the scalar result, and padding channels left alone.
template <class T, class X, class Run>
void expect_every_isa_agrees(const WindowGeometry& g, const Buffer<X>& x, Run run) {
  const auto all_rows = [&](Isa isa) {
    Buffer<T> y(static_cast<size_t>(g.oh * g.ow * g.y_pitch), T{5});
    const PoolKernels kernels = pool_kernels(isa);
    for (int64_t oy = 0; oy < g.oh; ++oy) run(kernels, x.data(), oy, y.data() + oy * g.ow * g.y_pitch);
    EXPECT_TRUE(y.is_guard_intact());
    for (size_t i = 0; i < y.size(); ++i)
      EXPECT_TRUE(static_cast<int64_t>(i) % g.y_pitch < g.ic || y[i] == T{5}) << "padding channel written";
    return y.values();
  };
  const std::vector<T> expected = all_rows(Isa::scalar);
  for (const Isa isa : available_isas()) {
    SCOPED_TRACE(std::string(name(isa)) + " c " + std::to_string(g.ic) + " k " + std::to_string(g.kh));
    if constexpr (std::is_same_v<T, float>)
      ASSERT_EQ(test::bits(all_rows(isa)), test::bits(expected));
    else
      ASSERT_EQ(all_rows(isa), expected);
  }
}

TEST(Pool, max_rows_give_the_scalar_result_on_every_isa) {
  Random random(1);
  for (const WindowGeometry& g : geometries()) {
    Buffer<uint8_t> codes(static_cast<size_t>(g.ih * g.iw * g.x_pitch));
    random.fill(codes.data(), codes.size());
    expect_every_isa_agrees<uint8_t>(
        g, codes, [&](const PoolKernels& k, const uint8_t* x, int64_t oy, uint8_t* y) { k.max_u8_row(g, x, oy, y); });
    Buffer<float> values(codes.size());
    random.fill(values.data(), values.size());
    for (size_t i = 0; i < values.size(); i += 7) values[i] = i % 2 ? k_nan : -0.0f;
    expect_every_isa_agrees<float>(
        g, values, [&](const PoolKernels& k, const float* x, int64_t oy, float* y) { k.max_f32_row(g, x, oy, y); });
  }
}

// Widening keeps order, so the maximum of floats is the oracle.
TEST(Pool, max_rows_of_bfloat16_are_those_of_the_same_floats_on_every_isa) {
  Random random(4);
  for (const WindowGeometry& g : geometries()) {
    Buffer<uint16_t> x(static_cast<size_t>(g.ih * g.iw * g.x_pitch));
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<uint16_t>(random.integer(0, 0xffff));
    for (size_t i = 0; i < x.size(); i += 5) x[i] = i % 2 ? uint16_t{0x7fc1} : uint16_t{0x8000};  // NaN, -0
    Buffer<float> wide(x.size());
    for (size_t i = 0; i < x.size(); ++i) wide[i] = bfloat16_to_float(x[i]);
    Buffer<float> want(static_cast<size_t>(g.oh * g.ow * g.y_pitch), 5.0f);
    for (int64_t oy = 0; oy < g.oh; ++oy)
      pool_kernels(Isa::scalar).max_f32_row(g, wide.data(), oy, want.data() + oy * g.ow * g.y_pitch);
    for (const Isa isa : available_isas()) {
      Buffer<uint16_t> y(want.size(), float_to_bfloat16(5.0f));
      for (int64_t oy = 0; oy < g.oh; ++oy)
        pool_kernels(isa).max_bf16_row(g, x.data(), oy, y.data() + oy * g.ow * g.y_pitch);
      EXPECT_TRUE(y.is_guard_intact());
      for (size_t i = 0; i < y.size(); ++i)
        ASSERT_EQ(y[i], float_to_bfloat16(want[i])) << name(isa) << " c " << g.ic << " element " << i;
    }
  }
}

TEST(Pool, average_rows_give_the_scalar_result_on_every_isa) {
  Random random(2);
  for (const WindowGeometry& g : geometries()) {
    Buffer<uint8_t> codes(static_cast<size_t>(g.ih * g.iw * g.x_pitch));
    random.fill(codes.data(), codes.size());
    Buffer<float> values(codes.size());
    random.fill(values.data(), values.size());
    for (const bool count_include_pad : {false, true}) {
      const int32_t lo = static_cast<int32_t>(random.integer(0, 100)),
                    hi = static_cast<int32_t>(random.integer(lo, 255));
      const AveragePoolU8Params p = {.x_zero_point = static_cast<int32_t>(random.integer(0, 255)),
                                     .y_zero_point = static_cast<int32_t>(random.integer(0, 255)),
                                     .lo = lo,
                                     .hi = hi,
                                     .x_scale = 0.02,
                                     .y_scale = random.integer(0, 1) ? 0.02 : 0.011,
                                     .count_include_pad = count_include_pad};
      expect_every_isa_agrees<uint8_t>(g, codes, [&](const PoolKernels& k, const uint8_t* x, int64_t oy, uint8_t* y) {
        k.average_u8_row(g, p, x, oy, y);
      });
      expect_every_isa_agrees<float>(g, codes, [&](const PoolKernels& k, const uint8_t* x, int64_t oy, float* y) {
        k.average_u8_to_f32_row(g, p, x, oy, y);
      });
      expect_every_isa_agrees<float>(g, values, [&](const PoolKernels& k, const float* x, int64_t oy, float* y) {
        k.average_f32_row(g, count_include_pad, x, oy, y);
      });
    }
  }
}

// More than 257 taps of 255 overflow a 16-bit sum: the kernels must widen in time, within rows of taps and between
// them.
TEST(Pool, averages_of_large_windows_give_the_scalar_result_on_every_isa) {
  const AveragePoolU8Params p = {.x_zero_point = 9,
                                 .y_zero_point = 30,
                                 .lo = 0,
                                 .hi = 255,
                                 .x_scale = 0.9,
                                 .y_scale = 1.1,
                                 .count_include_pad = false};
  for (const auto& [kh, kw] : {std::pair<int64_t, int64_t>{20, 20}, {1, 300}, {300, 1}, {3, 200}, {2, 256}, {5, 70}})
    for (const int64_t c : {1, 40, 70}) {
      WindowGeometry g = geometry(c, 1, 1, 0, kh + 1, kw + 1);
      g.kh = kh, g.kw = kw, g.oh = g.ow = 2;
      const Buffer<uint8_t> codes(static_cast<size_t>(g.ih * g.iw * g.x_pitch), 255);
      expect_every_isa_agrees<uint8_t>(g, codes, [&](const PoolKernels& k, const uint8_t* x, int64_t oy, uint8_t* y) {
        k.average_u8_row(g, p, x, oy, y);
      });
      expect_every_isa_agrees<float>(g, codes, [&](const PoolKernels& k, const uint8_t* x, int64_t oy, float* y) {
        k.average_u8_to_f32_row(g, p, x, oy, y);
      });
    }
}

// 600 pixels of 255 overflow a 16-bit sum: the kernels must widen in time.
TEST(Pool, global_averages_give_the_scalar_result_on_every_isa) {
  Random random(3);
  for (const int64_t pixels : {1, 2, 49, 255, 256, 257, 600})
    for (const int64_t c : {1, 15, 16, 17, 32, 33, 63, 64, 65, 100, 130}) {
      const int64_t pitch = channel_pitch(c);
      Buffer<uint8_t> codes(static_cast<size_t>(pixels * pitch), 255);
      if (c % 2) random.fill(codes.data(), codes.size());
      Buffer<float> values(codes.size());
      random.fill(values.data(), values.size());
      const auto run = [&](Isa isa) {
        Buffer<uint8_t> y(static_cast<size_t>(c), 5);
        pool_kernels(isa).global_average_u8(codes.data(), pixels, c, pitch, 9, 0.9f / static_cast<float>(pixels), 30, 2,
                                            250, y.data());
        EXPECT_TRUE(y.is_guard_intact());
        return y.values();
      };
      const auto run_to_f32 = [&](Isa isa) {
        Buffer<float> y(static_cast<size_t>(c), 5.0f);
        pool_kernels(isa).global_average_u8_to_f32(codes.data(), pixels, c, pitch, 9, 0.9f, y.data());
        EXPECT_TRUE(y.is_guard_intact());
        return test::bits(y.values());
      };
      const auto run_f32 = [&](Isa isa) {
        Buffer<float> y(static_cast<size_t>(c), 5.0f);
        pool_kernels(isa).global_average_f32(values.data(), pixels, c, pitch, y.data());
        EXPECT_TRUE(y.is_guard_intact());
        return test::bits(y.values());
      };
      for (const Isa isa : available_isas()) {
        ASSERT_EQ(run(isa), run(Isa::scalar)) << name(isa) << " c " << c << " pixels " << pixels;
        ASSERT_EQ(run_to_f32(isa), run_to_f32(Isa::scalar)) << name(isa) << " c " << c << " pixels " << pixels;
        ASSERT_EQ(run_f32(isa), run_f32(Isa::scalar)) << name(isa) << " c " << c << " pixels " << pixels;
      }
    }
}

// By hand: codes 1 2 / 3 5, zero point 1, one output per window of 2x2 with one pixel of padding left and above.
//   count inside: (1-1)/1 = 0, (0+1)/2 = 0.5 -> 0, (0+2)/2 = 1, (0+1+2+4)/4 = 1.75 -> 2, and zero point 10
//   count all 4:  0, 0.25 -> 0, 0.5 -> 0, 1.75 -> 2
TEST(Pool, averages_made_by_hand_count_the_padding_only_when_asked) {
  WindowGeometry g = geometry(1, 2, 1, 1, 2, 2);
  g.oh = g.ow = 2;
  Buffer<uint8_t> x(4 * 16);
  x[0] = 1, x[16] = 2, x[32] = 3, x[48] = 5;
  for (const Isa isa : available_isas()) {
    for (const bool all : {false, true}) {
      Buffer<uint8_t> y(4 * 16);
      const AveragePoolU8Params p = {1, 10, 0, 255, 1.0, 1.0, all};
      for (int64_t oy = 0; oy < 2; ++oy) pool_kernels(isa).average_u8_row(g, p, x.data(), oy, y.data() + oy * 32);
      EXPECT_EQ((std::vector<int>{y[0], y[16], y[32], y[48]}),
                (all ? std::vector<int>{10, 10, 10, 12} : std::vector<int>{10, 10, 11, 12}))
          << name(isa);
    }
  }
}

TEST(Pool, max_made_by_hand_skips_nan_and_ignores_the_padding) {
  WindowGeometry g = geometry(1, 3, 1, 1, 1, 3);
  Buffer<float> x(3 * 16);
  x[0] = -5.0f, x[16] = k_nan, x[32] = -7.0f;
  for (const Isa isa : available_isas()) {
    Buffer<float> y(3 * 16);
    pool_kernels(isa).max_f32_row(g, x.data(), 0, y.data());
    EXPECT_EQ((std::vector<float>{y[0], y[16], y[32]}), (std::vector<float>{-5.0f, -5.0f, -7.0f})) << name(isa);
  }
}

TEST(Pool, a_window_wholly_in_the_padding_gives_minus_infinity_or_zero) {
  const WindowGeometry g = geometry(1, 1, 1, 1, 1, 1);
  Buffer<float> x(16, 3.0f);
  for (const Isa isa : available_isas()) {
    Buffer<float> y(3 * 16);
    pool_kernels(isa).max_f32_row(g, x.data(), 0, y.data());
    EXPECT_EQ(y[0], -k_inf) << name(isa);
    pool_kernels(isa).average_f32_row(g, false, x.data(), 0, y.data());
    EXPECT_EQ(y[0], 0.0f) << name(isa);
  }
}

TEST(Pool, the_named_isa_is_the_one_that_runs) {
  for (const Isa isa : available_isas()) EXPECT_EQ(std::string(pool_kernels(isa).name), float_isa_of(isa));
}

}  // namespace
}  // namespace octet
