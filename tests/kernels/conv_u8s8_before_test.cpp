// 1x1 layers that make their input of another layer's codes, block by block: the bytes of both layers one by one.
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "base/aligned_vector.h"
#include "kernels/conv_u8s8/conv_u8s8.h"
#include "kernels/conventions.h"
#include "kernels/depthwise/depthwise.h"
#include "kernels/random_rows.h"

namespace octet {
namespace {

using test::Buffer;
using test::Random;

/// A scale and a shift per channel, and a 1x1 layer of 70 channels behind it.
struct Layers {
  std::vector<int8_t> scale_weights, weights;
  std::vector<int32_t> scale_bias, bias;
  std::vector<float> scale_multiplier, multiplier;
  ConvU8S8Desc scale, conv;

  Layers(int64_t channels, int64_t pixels, Random& random) {
    constexpr int64_t k_outputs = 70;
    scale_weights.resize(static_cast<size_t>(channels)), scale_bias.resize(scale_weights.size());
    scale_multiplier.resize(scale_weights.size());
    for (int8_t& w : scale_weights) w = random.integer(0, 3) == 0 ? -127 : 127;
    for (int32_t& b : scale_bias) b = static_cast<int32_t>(random.integer(-10000, 10000));
    for (float& m : scale_multiplier) m = random.real(0.001f, 0.01f);
    weights.resize(static_cast<size_t>(k_outputs * channels)), bias.assign(k_outputs, 77);
    multiplier.assign(k_outputs, 0.0005f);
    for (int8_t& w : weights) w = static_cast<int8_t>(random.integer(-127, 127));
    scale.geometry = geometry(channels, channels, 1);
    scale.geometry.groups = channels;
    scale.weights = scale_weights, scale.bias = scale_bias, scale.multiplier = scale_multiplier;
    scale.x_zero_point = 100;
    conv.geometry = geometry(channels, k_outputs, pixels);
    conv.weights = weights, conv.bias = bias, conv.multiplier = multiplier;
    conv.y_zero_point = 120;
  }

  static WindowGeometry geometry(int64_t ic, int64_t oc, int64_t pixels) {
    WindowGeometry g;
    g.ic = ic, g.oc = oc;
    g.iw = g.ow = pixels;
    g.ih = g.oh = 1;
    g.x_pitch = channel_pitch(ic), g.y_pitch = channel_pitch(oc);
    return g;
  }
};

std::vector<uint8_t> run(const ConvU8S8& layer, const WindowGeometry& g, const uint8_t* x, int64_t batch, int threads) {
  Buffer<uint8_t> y(static_cast<size_t>(batch * g.ow * g.y_pitch), 200);
  constexpr std::byte k_guard{0x5a};
  const size_t scratch_bytes = layer.scratch_bytes();
  AlignedVector<std::byte> scratch(scratch_bytes + 64, k_guard);
  const ConvU8S8Args args{.batch = batch, .x = x, .y = y.data()};
  for (int64_t chunk = 0; chunk < layer.chunks(batch, threads); ++chunk)
    layer.run_chunk(args, chunk, threads, scratch.data());
  EXPECT_TRUE(y.is_guard_intact());
  for (size_t i = scratch_bytes; i < scratch.size(); ++i) EXPECT_EQ(scratch[i], k_guard) << "scratch memory";
  return y.values();
}

void expect_bytes_of_both(int64_t channels, int64_t pixels, Random& random) {
  constexpr int64_t k_batch = 2;
  Layers layers(channels, pixels, random);
  const int64_t pitch = layers.conv.geometry.x_pitch, source_pitch = pitch + 32;
  AlignedVector<uint8_t> x(static_cast<size_t>(k_batch * pixels * source_pitch) + k_tail_bytes);
  AlignedVector<uint8_t> scaled(static_cast<size_t>(k_batch * pixels * pitch) + k_tail_bytes);
  random.fill(x.data(), x.size());
  PointwiseU8S8::make(layers.scale, {}, Isa::scalar)
      ->run(x.data(), source_pitch, k_batch * pixels, scaled.data(), pitch, false);
  const std::vector<uint8_t> expected =
      run(*ConvU8S8::make(layers.conv, Isa::scalar), layers.conv.geometry, scaled.data(), k_batch, 1);
  for (const Isa isa : available_isas()) {
    if (isa == Isa::scalar || isa == Isa::amx) continue;
    ConvU8S8Desc desc = layers.conv;
    desc.before = PointwiseU8S8::make(layers.scale, {}, isa);
    desc.source_pitch = source_pitch;
    for (const ConvVariant& variant : conv_u8s8_variants(desc, k_batch, isa, 1))
      for (const int threads : {1, 3})
        for (const ExpectedRun known : {ExpectedRun{}, ExpectedRun{k_batch, threads}}) {
          desc.expected = known;
          const std::unique_ptr<const ConvU8S8> layer =
              variant.refused.empty() ? ConvU8S8::make(desc, isa, variant.name) : nullptr;
          if (!layer) continue;
          ASSERT_EQ(run(*layer, desc.geometry, x.data(), k_batch, threads), expected)
              << name(isa) << ", " << variant.name << ", " << channels << " channels, " << pixels << " pixels, "
              << threads << " threads";
        }
  }
}

// With 640 channels a block is of 24 pixels; a last one of up to 32.
TEST(ConvBefore, blocks_of_any_length_give_the_bytes_of_both_layers) {
  Random random(3);
  for (const int64_t channels : {20, 96, 640})
    for (const int64_t pixels : {1, 5, 12, 16, 17, 28, 49, 130}) expect_bytes_of_both(channels, pixels, random);
  expect_bytes_of_both(640, 300, random);
}

}  // namespace
}  // namespace octet
