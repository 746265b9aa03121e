#include "kernels/activation/activation_codes.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <ostream>
#include <string>
#include <vector>

#include "base/vbmi.h"
#include "kernels/activation/activation.h"
#include "kernels/ran_isa.h"
#include "kernels/random_rows.h"

namespace octet {

void PrintTo(const CodeRule& rule, std::ostream* out) {
  *out << "kind " << static_cast<int>(rule.activation.kind) << " scale " << 1.0f / rule.inverse_scale << " zero point "
       << rule.zero_point << " codes " << rule.lo << " .. " << rule.hi;
}

namespace {

using test::Buffer;
using test::Random;

/// Usual rules: codes of an asymmetric range, of s8 stored 128 up, bounded ones.
std::vector<CodeRule> rules() {
  std::vector<CodeRule> list;
  for (const float scale : {0.0135f, 0.0209f, 0.0339f, 0.0549f, 0.11f}) {
    const auto zero_point = static_cast<int32_t>(std::nearbyint(0.278f / scale));
    list.push_back({{ActivationKind::silu}, 1.0f / scale, zero_point, 0, 255});
    list.push_back({{ActivationKind::hard_swish}, 1.0f / scale, zero_point + 2, 0, 255});
  }
  list.push_back({{ActivationKind::silu}, 1.0f / 0.05f, 128, 1, 255});
  list.push_back({{ActivationKind::silu}, 1.0f / 0.05f, 6, 20, 180});
  list.push_back({{ActivationKind::sigmoid}, 255.0f, 0, 0, 255});
  list.push_back({{ActivationKind::sigmoid}, 127.0f, 128, 1, 255});
  list.push_back({{ActivationKind::tanh_}, 127.0f, 128, 1, 255});
  list.push_back({{ActivationKind::hard_sigmoid, 0.2f, 0.5f}, 255.0f, 0, 0, 255});
  list.push_back({{ActivationKind::leaky_relu, 0.6f, 0}, 20.0f, 128, 1, 255});
  return list;
}

uint8_t judged(const CodeRule& rule, float v) {
  const ActivationKernels scalar = activation_kernels(Isa::scalar);
  uint8_t code = 0;
  scalar.activate(&v, 1, rule.activation);
  scalar.quantize(&v, 1, rule.inverse_scale, rule.zero_point, rule.lo, rule.hi, &code);
  return code;
}

/// Every magnitude, and many values where functions bend.
std::vector<float> values() {
  std::vector<float> v = {0.0f, -0.0f, 1e-45f, -1e-45f, k_most_stepped, -k_most_stepped, 1e20f, -1e20f};
  for (float x = 1e-6f; x < 1e6f; x *= 1.01f) v.push_back(x), v.push_back(-x);
  for (int i = -40000; i <= 40000; ++i) v.push_back(static_cast<float>(i) * 0x1.9p-12f);
  return v;
}

// What CodeSteps says, by its definition.
TEST(CodeSteps, give_the_rules_code_for_every_value_that_is_at_no_steps_place) {
  for (const CodeRule& rule : rules()) {
    SCOPED_TRACE(testing::PrintToString(rule));
    const std::optional<CodeSteps> steps = find_code_steps(rule, activation_kernels(available_isas().back()));
    ASSERT_TRUE(steps.has_value());
    int unsure = 0;
    const std::vector<float> all = values();
    for (const float v : all) {
      const float w = std::nearbyint(std::fma(v, steps->scale, steps->offset));
      const auto word = static_cast<int32_t>(std::min(std::max(w, 0.0f), 65535.0f));
      const int32_t cell = word / 256, place = word % 256;
      int code = steps->base[cell];
      bool is_sure = true;
      for (int s = 0; s < steps->slots; ++s) {
        const int at = steps->place[s][cell];
        if (place > at) code += cell < steps->first_rising ? -1 : 1;
        if (place == at && at != 255) is_sure = false;
      }
      if (is_sure) {
        ASSERT_EQ(code, judged(rule, v)) << v;
      } else {
        ++unsure;
      }
    }
    EXPECT_GT(unsure, 0) << "no value met a step";
    EXPECT_LT(unsure, static_cast<int>(all.size() / 50));
  }
}

TEST(CodeSteps, are_not_found_where_cells_cannot_hold_them) {
  const ActivationKernels kernels = activation_kernels(available_isas().back());
  const CodeRule fine = {{ActivationKind::silu}, 1.0f / 0.001f, 128, 1, 255};  // a dozen steps per cell
  const CodeRule coarse = {{ActivationKind::silu}, 1.0f / 100.0f, 0, 0, 0};    // one code
  const CodeRule falling = {{ActivationKind::leaky_relu, -2.0f, 0}, 20.0f, 0, 0, 255};
  const CodeRule tiny = {{ActivationKind::silu}, 0x1p30f, 0, 0, 255};
  const CodeRule infinite = {{ActivationKind::silu}, std::numeric_limits<float>::infinity(), 0, 0, 255};
  for (const CodeRule& rule : {fine, coarse, falling, tiny, infinite})
    EXPECT_FALSE(find_code_steps(rule, kernels).has_value()) << testing::PrintToString(rule);
}

// SiLU's least value, -0.2784645 at -1.2784645, just reaches half a code: one of a few hundredths' width has another
// code.
TEST(ActivationCodes, equal_the_judges_where_a_dip_just_reaches_a_tie) {
  std::vector<float> v;
  for (int i = -4000; i <= 4000; ++i) v.push_back(-1.2784645f + static_cast<float>(i) * 2e-5f);
  for (const double beyond : {-1e-3, -1e-4, -1e-5, -1e-6, 0.0, 1e-6, 5e-6, 1e-5, 3e-5, 6e-5, 1e-4, 1e-3})
    for (const double ties : {0.5, 1.5, 2.5, 6.5})
      for (const int32_t zero_point : {1, 128}) {
        const auto inverse = static_cast<float>(ties / 0.27846454276 * (1 + beyond));
        const CodeRule rule = {{ActivationKind::silu}, inverse, zero_point, 0, 255};
        std::vector<uint8_t> want(v.size());
        for (size_t i = 0; i < v.size(); ++i) want[i] = judged(rule, v[i]);
        for (const Isa isa : available_isas()) {
          const ActivationCodes codes(rule, isa, true);
          std::vector<float> x = v;
          std::vector<uint8_t> got(v.size());
          codes.run(x.data(), x.size(), got.data());
          ASSERT_EQ(got, want) << name(isa) << ", " << testing::PrintToString(rule) << ", beyond " << beyond;
        }
      }
}

TEST(ActivationCodes, equal_the_judges_around_every_step_on_every_isa) {
  for (const CodeRule& rule : rules()) {
    std::vector<float> v = values();
    uint8_t last = judged(rule, -60.0f);
    for (float at = -60.0f; at < 60.0f; at += 0x1p-9f) {
      const uint8_t code = judged(rule, at);
      if (code == last) continue;
      last = code;
      float low = at - 0x1p-9f, high = at;  // then the floats around the step
      for (int i = 0; i < 40; ++i) {
        const float middle = low + 0.5f * (high - low);
        (judged(rule, middle) == code ? high : low) = middle;
      }
      for (int i = 0; i < 20; ++i)
        v.push_back(low), v.push_back(high), low = std::nextafter(low, -100.0f), high = std::nextafter(high, 100.0f);
    }
    std::vector<uint8_t> want(v.size());
    for (size_t i = 0; i < v.size(); ++i) want[i] = judged(rule, v[i]);
    for (const Isa isa : available_isas()) {
      const ActivationCodes codes(rule, isa, true);
      EXPECT_EQ(codes.has_steps(), isa >= Isa::avx512_vnni && has_byte_lookups()) << testing::PrintToString(rule);
      std::vector<float> x = v;
      std::vector<uint8_t> got(v.size());
      codes.run(x.data(), x.size(), got.data());
      ASSERT_EQ(got, want) << name(isa) << ", " << testing::PrintToString(rule);
    }
  }
}

TEST(ActivationCodes, every_number_of_values_is_written_and_nothing_behind_it) {
  Random random(5);
  for (const bool many : {false, true})
    for (const ActivationKind kind : {ActivationKind::silu, ActivationKind::hard_swish})
      for (const Isa isa : available_isas()) {
        const CodeRule rule = {{kind}, 30.0f, 9, 0, 255};
        const ActivationCodes codes(rule, isa, many);
        for (const size_t n : {0, 1, 15, 63, 64, 65, 127, 128, 200, 4095, 4096, 4097, 9000}) {
          Buffer<float> v(n);
          random.fill(v.data(), n, 6.0f);
          std::vector<uint8_t> want(n);
          for (size_t i = 0; i < n; ++i) want[i] = judged(rule, v[i]);
          Buffer<uint8_t> q(n, 9);
          codes.run(v.data(), n, q.data());
          ASSERT_TRUE(q.is_guard_intact());
          ASSERT_EQ(q.values(), want) << name(isa) << " n " << n;
        }
      }
}

TEST(ActivationCodes, rows_go_where_their_pixels_lie_and_leave_what_is_between) {
  Random random(6);
  const CodeRule rule = {{ActivationKind::silu}, 30.0f, 9, 0, 255};
  for (const Isa isa : available_isas())
    for (const size_t channels : {1, 7, 16, 24, 32, 48, 64, 100, 4200}) {
      const ActivationCodes codes(rule, isa, true);
      const size_t count = channels > 4000 ? 2 : 70, step = channels + 5;
      std::vector<int32_t> pixels(count);
      for (size_t i = 0; i < count; ++i) pixels[i] = static_cast<int32_t>(count - 1 - i);
      Buffer<float> v(count * channels);
      random.fill(v.data(), v.size(), 6.0f);
      Buffer<uint8_t> want(count * step, 9), got(count * step, 9), in_order(count * step, 9),
          want_in_order(count * step, 9);
      for (size_t r = 0; r < count; ++r)
        for (size_t c = 0; c < channels; ++c)
          want[static_cast<size_t>(pixels[r]) * step + c] = want_in_order[r * step + c] =
              judged(rule, v[r * channels + c]);
      Buffer<float> copy = v;
      codes.rows(copy.data(), channels, count, got.data(), pixels.data(), static_cast<int64_t>(step));
      codes.rows(v.data(), channels, count, in_order.data(), nullptr, static_cast<int64_t>(step));
      ASSERT_EQ(got.values(), want.values()) << name(isa) << " channels " << channels;
      ASSERT_EQ(in_order.values(), want_in_order.values()) << name(isa) << " channels " << channels;
      ASSERT_TRUE(got.is_guard_intact() && in_order.is_guard_intact());
    }
}

}  // namespace
}  // namespace octet
