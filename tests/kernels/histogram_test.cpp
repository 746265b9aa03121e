// Every ISA against the scalar judge, and the collector with every kernel against the one without, bit for bit.
#include "kernels/histogram/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "quant/histogram.h"

namespace octet {
namespace {

constexpr float k_inf = std::numeric_limits<float>::infinity();
constexpr float k_nan = std::numeric_limits<float>::quiet_NaN();
constexpr int k_bins = 8192;

/// Values in [-range, range]: normal, zeros of both signs, exact bin edges, subnormal.
std::vector<float> values(size_t n, float range, std::mt19937& random) {
  std::vector<float> x(n);
  std::normal_distribution<float> normal(0.0f, range / 6);
  for (float& v : x) {
    switch (random() % 8) {
      case 0: v = 0.0f; break;
      case 1: v = -0.0f; break;
      case 2: v = std::ldexp(static_cast<float>(random() % (k_bins + 1)), -13) * range; break;
      case 3: v = std::bit_cast<float>(static_cast<uint32_t>(random() & 0x807fffffu)); break;
      case 4: v = random() % 2 ? range : -range; break;
      default: v = std::clamp(normal(random), -range, range);
    }
  }
  return x;
}

struct Answer {
  std::vector<uint32_t> index;
  int32_t ends[2] = {0, 0};
};

Answer answer_of(Isa isa, const std::vector<float>& x, float bins_per_unit) {
  Answer a;
  a.index.assign(x.size() + 17, 0xdeadu);
  const size_t listed =
      histogram_kernels(isa).index_f32(x.data(), x.size(), bins_per_unit, k_bins, a.index.data(), a.ends);
  EXPECT_EQ(a.index.back(), 0xdeadu) << "wrote beyond its room";
  a.index.resize(listed);
  return a;
}

TEST(HistogramKernels, agree_with_the_scalar_one_on_every_length) {
  std::mt19937 random(5);
  for (const Isa isa : available_isas()) {
    for (size_t n = 1; n < 100; ++n) {
      for (const float range : {1.0f, 64.0f, 0x1p-90f, 0x1p120f}) {
        const std::vector<float> x = values(n, range, random);
        const float bins_per_unit = static_cast<float>(k_bins) / range;
        const Answer expected = answer_of(Isa::scalar, x, bins_per_unit), found = answer_of(isa, x, bins_per_unit);
        ASSERT_EQ(found.index, expected.index) << name(isa) << " n " << n << " range " << range;
        ASSERT_EQ(found.ends[0], expected.ends[0]) << name(isa) << " n " << n;
        ASSERT_EQ(found.ends[1], expected.ends[1]) << name(isa) << " n " << n;
      }
    }
  }
}

TEST(HistogramKernels, the_scalar_one_follows_the_definition) {
  const std::vector<float> x = {0.5f, -0.25f, 0.0f, -0.0f, 0x1p-13f, 0x1.8p-13f, 1.0f, FLT_TRUE_MIN};
  const Answer a = answer_of(Isa::scalar, x, k_bins);
  EXPECT_EQ(a.index, (std::vector<uint32_t>{4095, 2047 + k_bins, 0, 1, 8191, 0}));
  EXPECT_EQ(a.ends[0], std::bit_cast<int32_t>(-0.25f) ^ 0x7fffffff);
  EXPECT_EQ(a.ends[1], std::bit_cast<int32_t>(1.0f));
}

TEST(HistogramKernels, show_what_is_not_finite_or_too_large_at_the_ends) {
  for (const Isa isa : available_isas()) {
    for (const float odd : {k_nan, -k_nan, k_inf, -k_inf, 2.0f, -2.0f, FLT_MAX}) {
      for (size_t at = 0; at < 37; ++at) {
        std::vector<float> x(37, 0.5f);
        x[at] = odd;
        const Answer a = answer_of(isa, x, k_bins), scalar = answer_of(Isa::scalar, x, k_bins);
        EXPECT_EQ(a.ends[0], scalar.ends[0]) << name(isa) << " " << odd;
        EXPECT_EQ(a.ends[1], scalar.ends[1]) << name(isa) << " " << odd;
        EXPECT_TRUE(a.ends[0] < std::bit_cast<int32_t>(0.5f) || a.ends[1] > std::bit_cast<int32_t>(0.5f));
      }
    }
  }
}

TEST(HistogramKernels, the_set_that_runs_is_the_one_asked_for) {
  for (const Isa isa : available_isas()) {
    const std::string_view set = histogram_kernels(isa).name;
    EXPECT_EQ(set, isa == Isa::scalar ? "scalar" : isa >= Isa::avx512_vnni ? "avx512_vnni" : "avx2");
  }
}

TEST(HistogramCollect, counts_the_same_with_every_kernel) {
  std::mt19937 random(6);
  for (const Isa isa : available_isas()) {
    const IndexRow kernel = histogram_kernels(isa).index_f32;
    for (const int bins : {2, 1024, 8192, 65536}) {
      Histogram plain(bins), fast(bins);
      EXPECT_EQ(plain, fast);
      // Ranges that rise and fall, so that blocks grow the range or stay inside it; blocks that are not finite.
      for (const float range : {0x1p-140f, 0x1p-110f, 0.25f, 64.0f, 3.0f, 0.001f, 0x1p100f, 1.0f}) {
        for (const size_t n : {1u, 7u, 1000u, 1024u, 1025u, 5000u}) {
          std::vector<float> x = values(n, range, random);
          if (random() % 3 == 0) x[random() % n] = random() % 2 ? k_nan : -k_inf;
          plain.collect(x);
          fast.collect(x, kernel);
          ASSERT_EQ(plain, fast) << name(isa) << " bins " << bins << " range " << range << " n " << n;
          ASSERT_EQ(std::signbit(plain.min()), std::signbit(fast.min()));
        }
      }
    }
  }
}

TEST(HistogramCollect, survives_the_way_to_another_process) {
  std::mt19937 random(7);
  Histogram h;
  EXPECT_EQ(Histogram::from_bytes(h.to_bytes()), h);
  h.collect(values(3000, 5.0f, random));
  const std::string bytes = h.to_bytes();
  EXPECT_EQ(Histogram::from_bytes(bytes), h);
  EXPECT_FALSE(Histogram::from_bytes(bytes.substr(1)));
  EXPECT_FALSE(Histogram::from_bytes(bytes.substr(0, bytes.size() - 8)));
  EXPECT_FALSE(Histogram::from_bytes(bytes + "x"));
  EXPECT_FALSE(Histogram::from_bytes(""));
}

}  // namespace
}  // namespace octet
