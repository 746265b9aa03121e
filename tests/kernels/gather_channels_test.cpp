#include "kernels/gather_channels/gather_channels.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/vbmi.h"
#include "kernels/conventions.h"
#include "kernels/random_rows.h"

namespace octet {
namespace {

using test::Buffer;
using test::Random;

/// Every kernel of this machine.
std::vector<GatherChannelsKernel> kernels() {
  std::vector<GatherChannelsKernel> all;
  for (const Isa isa : available_isas()) all.push_back(gather_channels_kernel(isa));
  return all;
}

struct Case {
  std::vector<int> channels;  // of the inputs
  std::vector<ChannelPick> picks;
  size_t element_bytes;
  int64_t pixels;
};

/// Against a copy element by element. Inputs end where their buffers do but for 63 bytes.
void expect_gathered(const Case& c, Random& random) {
  const auto size = static_cast<int64_t>(c.element_bytes);
  std::vector<Buffer<uint8_t>> x;
  std::vector<int64_t> steps;
  for (const int channels : c.channels) {
    steps.push_back(channel_pitch(channels) * size);
    x.emplace_back(static_cast<size_t>(c.pixels * steps.back()));
    for (size_t i = 0; i < x.back().size(); ++i) x.back()[i] = static_cast<uint8_t>(random.integer(0, 255));
  }
  std::vector<ChannelInput> inputs;
  for (size_t i = 0; i < x.size(); ++i) inputs.push_back({x[i].data(), steps[i]});
  const auto picked = static_cast<int64_t>(c.picks.size());
  const int64_t y_step = channel_pitch(picked) * size;
  for (const GatherChannelsKernel& kernel : kernels()) {
    Buffer<uint8_t> y(static_cast<size_t>(c.pixels * y_step), 7);
    GatherChannels(c.picks, c.element_bytes, kernel).run(inputs.data(), c.pixels, y.data(), y_step);
    ASSERT_TRUE(y.is_guard_intact()) << kernel.name;
    for (int64_t p = 0; p < c.pixels; ++p)
      for (int64_t b = 0; b < picked * size; ++b) {
        const ChannelPick& pick = c.picks[static_cast<size_t>(b / size)];
        const auto from =
            static_cast<size_t>(p * steps[static_cast<size_t>(pick.input)] + pick.channel * size + b % size);
        ASSERT_EQ(y[static_cast<size_t>(p * y_step + b)], x[static_cast<size_t>(pick.input)][from])
            << kernel.name << ", " << c.element_bytes << " bytes, " << picked << " channels, pixel " << p << ", byte "
            << b;
      }
    for (int64_t p = 0; p < c.pixels; ++p)
      for (int64_t b = (picked * size + 15) / 16 * 16; b < y_step; ++b)
        ASSERT_EQ(y[static_cast<size_t>(p * y_step + b)], 7) << kernel.name << ": padding is written, byte " << b;
  }
}

/// Channels of `count` inputs, one after the other of each in turn: a shuffle.
std::vector<ChannelPick> in_turns(int count, int channels) {
  std::vector<ChannelPick> picks;
  for (int i = 0; i < count * channels; ++i) picks.push_back({i % count, i / count});
  return picks;
}

TEST(GatherChannels, takes_channels_of_inputs_in_turns) {
  Random random(1);
  for (const size_t bytes : {1, 2, 4, 8})
    for (const int inputs : {1, 2, 3, 5})
      for (const int channels : {1, 7, 16, 29, 58, 64, 116, 130})
        for (const int64_t pixels : {1, 2, 9}) {
          const std::vector<int> all(static_cast<size_t>(inputs), channels);
          const std::vector<ChannelPick> picks = in_turns(inputs, channels);
          expect_gathered({all, picks, bytes, pixels}, random);
          const auto half = static_cast<std::ptrdiff_t>(picks.size() / 2);
          if (half == 0) continue;
          expect_gathered({all, {picks.begin(), picks.begin() + half}, bytes, pixels}, random);
          expect_gathered({all, {picks.begin() + half, picks.end()}, bytes, pixels}, random);
        }
}

TEST(GatherChannels, takes_any_channels_however_often) {
  Random random(2);
  for (int turn = 0; turn < 300; ++turn) {
    Case c = {{}, {}, size_t{1} << random.integer(0, 3), random.integer(0, 5)};
    for (int64_t i = random.integer(1, 70); i > 0; --i) c.channels.push_back(static_cast<int>(random.integer(1, 300)));
    for (int64_t i = random.integer(0, 200); i > 0; --i) {
      const auto input = static_cast<int32_t>(random.integer(0, static_cast<int64_t>(c.channels.size()) - 1));
      const int most = c.channels[static_cast<size_t>(input)] - 1;
      c.picks.push_back({input, static_cast<int32_t>(random.integer(0, most))});
    }
    ASSERT_NO_FATAL_FAILURE(expect_gathered(c, random));
  }
}

TEST(GatherChannels, has_a_kernel_of_its_own_for_every_width) {
  for (const Isa isa : available_isas()) {
    const std::string want = isa == Isa::scalar                              ? "scalar"
                             : isa >= Isa::avx512_vnni && has_byte_lookups() ? "avx512_vbmi"
                                                                             : "avx2";
    EXPECT_EQ(gather_channels_kernel(isa).name, want) << name(isa);
  }
}

}  // namespace
}  // namespace octet
